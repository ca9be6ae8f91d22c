// The module of the page, which the page holds itself; the worker gets it from there.

import packed from '../pkg/lowband_devtools_bg.wasm?packed';

/** Unpacks and compiles the module. */
export async function compile(): Promise<WebAssembly.Module> {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return WebAssembly.compile(await new Response(unpacked).arrayBuffer());
}
