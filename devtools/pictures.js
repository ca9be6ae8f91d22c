// Takes the pictures of the page for the documentation: each room, in the light and in the dark theme.

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { capture } from './test/captures.js';
import { Page, browse } from './test/page.js';

const FOLDER = fileURLToPath(new URL('../docs/images/', import.meta.url));

const browser = await browse();
const ends = [];
const t = { after: (end) => ends.push(end) };

for (const theme of ['light', 'dark']) {
  const payload = await Page.open(t, browser, { theme });
  await payload.example('A sync');
  await payload.find('#json .word').filter({ hasText: '"m.text"' }).first().hover();
  await take(payload, `page-payload-${theme}`);

  const exchanges = await Page.open(t, browser, { theme, fragment: '#capture' });
  await exchanges.find('#capture-file').setInputFiles(['chain.pcap', 'chain.keys'].map(capture));
  await exchanges.find('#said').filter({ hasText: 'read' }).waitFor();
  await exchanges.find('#exchanges .exchange').nth(3).click();
  await exchanges.find('#messages .message').nth(1).click();
  await exchanges.find('#capture-items .row').nth(1).click();
  await take(exchanges, `page-capture-${theme}`);
}
/** Writes what is seen as WebP: half of what PNG takes. */
async function take(page, name) {
  const png = await page.tab.screenshot();
  const converter = await browser.newPage();
  const webp = await converter.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext('2d').drawImage(image, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/webp', quality: 0.8 });
    const written = new Uint8Array(await blob.arrayBuffer());
    return btoa(Array.from(written, (byte) => String.fromCharCode(byte)).join(''));
  }, png.toString('base64'));
  await converter.close();
  writeFileSync(`${FOLDER}${name}.webp`, Buffer.from(webp, 'base64'));
}

for (const end of ends) await end();
await browser.close();
