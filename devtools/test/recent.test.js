// The list of exchanges in the extension's panel.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Recent } from '../extension/recent.js';

test('the oldest row gives way to one too many', () => {
  const recent = new Recent(2);
  assert.equal(recent.addLogged('a', 1), undefined);
  assert.deepEqual(recent.addAnnounced('b', 2), { dropped: undefined });
  assert.deepEqual(recent.addAnnounced('c', 3), { dropped: 1 });
  assert.equal(recent.addLogged('d', 4), 2);
  assert.equal(recent.size, 2);
});

test('what the log had at the start and is announced later stays one row', () => {
  const recent = new Recent(3);
  recent.addLogged('a', 1);
  recent.addLogged('b', 2);
  assert.deepEqual(recent.addAnnounced('a', 3), { replaced: 1 });
  assert.equal(recent.size, 2);
  // Later requests may have the same time and address.
  assert.deepEqual(recent.addAnnounced('a', 4), { dropped: undefined });
  assert.equal(recent.size, 3);
  recent.clear();
  assert.deepEqual([recent.size, recent.addAnnounced('b', 5)], [0, { dropped: undefined }]);
});
