declare module '*.wasm?packed' {
  /** The module, gzipped, in base64. */
  const packed: string;
  export default packed;
}

declare module '*.css';

declare module '*?worker&inline' {
  /** The worker, whose script is part of the page. */
  const Inlined: new () => Worker;
  export default Inlined;
}
