// A project as a user would begin it: an empty folder, the packed package installed into it,
// and nothing else.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where `make npm` leaves the package, alone. */
const PACKED = process.env.LOWBAND_NPM_PACKED ?? new URL('../../target/npm', import.meta.url).pathname;

export class Project {
  /** Makes the folder; it is removed when the test `t` ends. */
  static async make(t) {
    const project = new Project();
    project.dir = mkdtempSync(join(tmpdir(), 'lowband-npm-'));
    t.after(() => rmSync(project.dir, { recursive: true }));
    project.write('package.json', JSON.stringify({ name: 'project', private: true, type: 'module' }));
    const packages = readdirSync(PACKED).filter((name) => name.endsWith('.tgz'));
    assert.equal(packages.length, 1, `one package in ${PACKED}`);
    await project.run('npm', 'install', '--offline', '--no-audit', '--no-fund', join(PACKED, packages[0]));
    return project;
  }

  path(...names) {
    return join(this.dir, ...names);
  }

  write(name, text) {
    writeFileSync(this.path(name), text);
  }

  /** Returns the output of a command in the folder. */
  async run(command, ...args) {
    const { stdout } = await run(command, args, { cwd: this.dir });
    return stdout;
  }
}
