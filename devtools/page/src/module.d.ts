declare module '*.wasm?packed' {
  /** The module, gzipped, in base64. */
  const packed: string;
  export default packed;
}

declare module '*.css';
