// What the page and its worker tell each other.

/** An exchange as the list shows it: no more, since a capture can have a hundred thousand of them. */
export interface Row {
  /** Its place among all exchanges that were read: by this number the worker knows it. */
  readonly position: number;
  /** The time of its first datagram, in milliseconds since 1970. */
  readonly time: number;
  client: string;
  method: string;
  path: string;
  /** The code of the answer; empty if there is none. */
  readonly code: string;
  /** `complete`, `unanswered`, `reset` or `cut`. */
  readonly state: string;
  /** Payload bytes of UDP from the client and to it. */
  readonly up: number;
  readonly down: number;
  readonly datagrams: number;
  readonly repeats: number;
  /** Milliseconds until the answer was complete; null without one. */
  readonly ms: number | null;
  /** Bytes of the same exchange over HTTPS with JSON, estimated; 0 if it is not known. */
  readonly https: number;
}

/** Sums over the whole capture, as the Rust part gives them. */
export interface Totals {
  readonly exchanges: number;
  readonly sessions: number;
  readonly not_complete: number;
  readonly repeats: number;
  readonly datagrams: number;
  readonly bytes: number;
  readonly https_bytes: number;
}

export interface Unread {
  readonly unread: string;
  readonly count: number;
  readonly frames: string;
}

export interface Summary {
  readonly totals: Totals | undefined;
  readonly unread: readonly Unread[];
  /** Packets that are not CoAP, counted by what they are. */
  readonly others: Readonly<Record<string, number>>;
  /** Remarks on the files: a key log with lines that cannot be read, a second capture that was left out. */
  readonly remarks: readonly string[];
}

export interface Option {
  readonly number: number;
  readonly name?: string;
  readonly value: string | number;
  readonly bytes?: number;
}

export interface Message {
  /** The number of its packet; 0 for the handshake, which has many. */
  readonly frame: number;
  /** Milliseconds since the exchange began. */
  readonly ms: number;
  readonly from: 'client' | 'server';
  readonly type?: string;
  readonly id?: number;
  readonly token?: string;
  readonly code?: string;
  readonly options?: readonly Option[];
  /** Bytes of its payload. */
  readonly bytes?: number;
  /** Of a handshake, in place of a message: all of its bytes. */
  readonly handshake?: number;
  /** Why it could not be read. */
  readonly unread?: string;
  /** `repeat` or `duplicate`. */
  readonly note?: string;
}

export interface Body {
  /** What it is: `cbor`, `json`, `text` or `other`. */
  readonly kind: string;
  /** What was sent, unpacked if it is packed CBOR; undefined if it is hidden. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  /** What is to be known before it is believed: how the bytes were found, or that they were packed. */
  readonly remark?: string;
}

/** All of one exchange. */
export interface Detail {
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly notes: readonly string[];
  readonly messages: readonly Message[];
  readonly request: Body | undefined;
  readonly response: Body | undefined;
}

export type ToWorker =
  | { readonly do: 'start'; readonly module: WebAssembly.Module }
  | { readonly do: 'read'; readonly run: number; readonly files: readonly File[]; readonly secrets: boolean }
  | { readonly do: 'cancel'; readonly run: number }
  | { readonly do: 'detail'; readonly ask: number; readonly position: number }
  | { readonly do: 'export'; readonly ask: number; readonly positions: Uint32Array | undefined };

export type FromWorker =
  | { readonly is: 'progress'; readonly run: number; readonly done: number; readonly all: number; readonly pass: number }
  | { readonly is: 'rows'; readonly run: number; readonly rows: readonly Row[]; readonly anew: boolean }
  | { readonly is: 'read'; readonly run: number; readonly summary: Summary; readonly cancelled: boolean }
  | { readonly is: 'failed'; readonly run: number; readonly why: string }
  | { readonly is: 'detail'; readonly ask: number; readonly detail: Detail }
  | { readonly is: 'no detail'; readonly ask: number; readonly why: string }
  | { readonly is: 'exported'; readonly ask: number; readonly lines: Blob };
