// export.js CAPTURE KEY_LOG: prints what the page exports of a capture, one exchange a line. Tests call it to
// compare the page with another reader of the same files.

import { readFileSync } from 'node:fs';
import { Page, browse } from './page.js';

const browser = await browse();
const ends = [];
try {
  const page = await Page.open({ after: (end) => ends.push(end) }, browser, { fragment: '#capture' });
  await page.find('#capture-file').setInputFiles(process.argv.slice(2));
  await page.find('#said').filter({ hasText: 'read' }).waitFor();
  const saved = page.tab.waitForEvent('download');
  await page.find('#export').click();
  process.stdout.write(readFileSync(await (await saved).path()));
  for (const end of ends) await end();
} finally {
  await browser.close();
}
