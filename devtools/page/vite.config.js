// Builds the page into one file that opens from disk as well as from a server.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [packedModule(), oneFile()],
  worker: { format: 'iife' },
  build: {
    outDir: '../../target/page',
    emptyOutDir: true,
    // Older browsers lack `light-dark()`, which the style would be rewritten for.
    target: ['chrome123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: false,
    // Otherwise the script would make the style, against the policy.
    cssCodeSplit: false,
    rolldownOptions: { output: { format: 'iife' } },
  },
});

/**
 * Makes `x.wasm?packed` the text of the module, gzipped and in base64. The page as a whole is compressed once
 * more on its way, and gzipped text in base64 shrinks to what the module alone would take.
 */
function packedModule() {
  const END = '.wasm?packed';
  return {
    name: 'packed-module',
    enforce: 'pre',
    load(id) {
      if (!id.endsWith(END)) return null;
      const packed = gzipSync(readFileSync(id.slice(0, -'?packed'.length)), { level: 9 });
      // Byte 9 names the operating system that packed.
      packed[9] = 255;
      return `export default '${packed.toString('base64')}';`;
    },
  };
}

/**
 * Puts script and style into the page, and their hashes into its Content-Security-Policy: from disk a browser
 * loads no module script, and `'self'` means nothing there.
 */
function oneFile() {
  return {
    name: 'one-file',
    enforce: 'post',
    generateBundle(_, bundle) {
      const page = bundle['index.html'];
      let script = '';
      let style = '';
      for (const [name, file] of Object.entries(bundle)) {
        if (name === 'index.html') continue;
        if (file.type === 'chunk') script += file.code;
        else if (name.endsWith('.css')) style += file.source;
        else this.error(`${name} does not belong into a page of one file`);
        delete bundle[name];
      }
      // Inside of a script this would end it; in a JavaScript string the backslash means nothing.
      script = script.trim().replaceAll('</script', '<\\/script');
      style = style.trim();
      const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
      const policy = [
        "default-src 'none'",
        `script-src ${hash(script)} 'wasm-unsafe-eval'`,
        `style-src ${hash(style)}`,
        'worker-src blob:',
        'img-src data:',
        "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
      ].join('; ');
      page.source = page.source
        .replace(/\s*<script type="module"[^>]*><\/script>/, '')
        .replace(/\s*<link rel="stylesheet"[^>]*>/, '')
        .replace('<!-- policy -->', () => `<meta http-equiv="Content-Security-Policy" content="${policy}">`)
        .replace('<!-- style -->', () => `<style>${style}</style>`)
        .replace('<!-- script -->', () => `<script>${script}</script>`);
    },
  };
}
