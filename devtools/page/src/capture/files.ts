// The files that people drop: which is the capture, which holds keys.

export interface Sorted {
  readonly kind: 'capture' | 'har';
  readonly main: File;
  readonly keyLogs: readonly File[];
  readonly remarks: readonly string[];
}

/** The first bytes of pcap in either byte order, in micro- and nanoseconds, and of pcapng. */
const MAGIC = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a];
/** Bytes that tell what a file is. */
const BEGINNING = 512;
/** The largest key log that is read, in bytes: half a million sessions. */
const MAX_KEY_LOG = 128 * 1024 * 1024;

/**
 * Sorts files by their content.
 *
 * @throws Error if there is neither a capture nor a HAR file among them
 */
export async function sort(files: readonly File[]): Promise<Sorted> {
  const captures: File[] = [];
  const hars: File[] = [];
  const keyLogs: File[] = [];
  const remarks: string[] = [];
  for (const file of files) {
    const kind = await kindOf(file);
    if (kind === 'capture') captures.push(file);
    else if (kind === 'har') hars.push(file);
    else if (kind === 'keys' && file.size <= MAX_KEY_LOG) keyLogs.push(file);
    else remarks.push(`${file.name} is neither a capture nor a key log nor a HAR file.`);
  }
  const main = captures[0] ?? hars[0];
  if (main === undefined) {
    const found = keyLogs.length > 0 ? 'That is a key log alone: drop the capture as well.' : (remarks[0] ?? 'There is no file.');
    throw new Error(found);
  }
  for (const other of [...captures, ...hars]) {
    if (other !== main) remarks.push(`${other.name} was left out: one capture is shown at a time.`);
  }
  return { kind: main === captures[0] ? 'capture' : 'har', main, keyLogs, remarks };
}

/** Returns what a file is, by its first bytes; undefined if it is nothing that is read here. */
export async function kindOf(file: File): Promise<'capture' | 'har' | 'keys' | undefined> {
  const beginning = await file.slice(0, BEGINNING).arrayBuffer();
  if (beginning.byteLength >= 4 && MAGIC.includes(new DataView(beginning).getUint32(0))) return 'capture';
  const text = new TextDecoder().decode(beginning);
  if (/^\ufeff?\s*\{\s*"log"\s*:/.test(text)) return 'har';
  return isKeyLog(text) ? 'keys' : undefined;
}

/** Says whether a label and the random of a client stand first, after comments and empty lines. */
function isKeyLog(beginning: string): boolean {
  const lines = beginning.split('\n', BEGINNING).map((line) => line.trim());
  const first = lines.find((line) => line !== '' && !line.startsWith('#'));
  return first !== undefined && /^[A-Z][A-Z0-9_]* [0-9a-fA-F]{16,}/.test(first);
}
