// Payloads to begin with.

export interface Example {
  readonly name: string;
  readonly about: string;
  readonly text: string;
}

export const EXAMPLES: readonly Example[] = [
  {
    name: 'An event',
    about: 'a message in a room, as hex: each key of Matrix is one or two bytes',
    text: `a7 02 6e 6d 2e 72 6f 6f 6d 2e 6d 65 73 73 61 67 65 05 73 21
6a 4b 70 51 32 73 3a 65 78 61 6d 70 6c 65 2e 6f 72 67 06 70
40 61 64 61 3a 65 78 61 6d 70 6c 65 2e 6f 72 67 01 67 24 74
66 32 47 78 38 08 1b 00 00 01 9a d3 58 bf 7b 03 a2 18 1c 66
6d 2e 74 65 78 74 18 1b 78 19 54 68 65 20 66 65 72 72 79 20
6c 65 61 76 65 73 20 61 74 20 6e 69 6e 65 2e 09 a1 11 19 03 2c`,
  },
  {
    name: 'A sync',
    about: 'the answer to a long poll, as base64',
    text: `oxNoczcyXzE4MzQXoRgYoXMhaktwUTJzOmV4YW1wbGUub3JnowyjDYKnAm5tLnJv
b20ubWVzc2FnZQVzIWpLcFEyczpleGFtcGxlLm9yZwZwQGFkYTpleGFtcGxlLm9y
ZwFnJHRmMkd4OAgbAAABmtNYv3sDohgcZm0udGV4dBgbeBlUaGUgZmVycnkgbGVh
dmVzIGF0IG5pbmUuCaERGQMspwJubS5yb29tLm1lc3NhZ2UFcyFqS3BRMnM6ZXhh
bXBsZS5vcmcGckBncmFjZTpleGFtcGxlLm9yZwFnJHRmMkd4OQgbAAABmtNYv3sD
ohgcZm0udGV4dBgbZVNlZW4uCaERGQMsDvQPY3QzMWdzdW1tYXJ5oXVtLmpvaW5l
ZF9tZW1iZXJfY291bnQCdHVucmVhZF9ub3RpZmljYXRpb25zonJub3RpZmljYXRp
b25fY291bnQBb2hpZ2hsaWdodF9jb3VudAAUoQ2A`,
  },
  {
    name: 'A login',
    about: 'JSON, to see what it becomes',
    text: `{
  "type": "m.login.password",
  "identifier": { "type": "m.id.user", "user": "ada" },
  "password": "correct horse",
  "initial_device_display_name": "Ferry terminal"
}`,
  },
  {
    name: 'One that was cut short',
    about: 'a C array whose end is missing: what stands before it is read all the same',
    text: `static const uint8_t body[] = {
  0xa3, 0x18, 0x66, 0x70, 0x4d, 0x5f, 0x4c, 0x49, 0x4d, 0x49, 0x54, 0x5f,
  0x45, 0x58, 0x43, 0x45, 0x45, 0x44, 0x45, 0x44, 0x18, 0x67, 0x71, 0x54,
};`,
  },
  {
    name: 'JSON that is not clean',
    about: 'a key twice and a number that no float holds: refused, or repaired',
    text: '{"type":"m.room.message","content":{"body":"one","body":"two","ratio":1e400}}',
  },
];
