// Which bodies of a HAR file hold secrets; of captures the Rust part decides it, in the same way.

/** Segments of paths whose bodies hold passwords or tokens: the list of `capture/src/report/hide.rs`. */
const SECRET_BODIES: ReadonlySet<string> = new Set([
  'login',
  'register',
  'refresh',
  'account',
  'password',
  'reset_password',
  'devices',
  'delete_devices',
  'device_signing',
  'openid',
  'request_token',
  'turnserver',
  'auth',
  'pushers',
]);

/** Says whether the bodies of requests to this path, or of their answers, may hold secrets. */
export function hasSecretBodies(path: string): boolean {
  return path.split('/').some((segment) => SECRET_BODIES.has(decoded(segment).toLowerCase()));
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
