// Starts the page: the module, the rooms, the theme.

import { CaptureRoom } from './capture/room.ts';
import { start } from './codec.ts';
import { compile } from './compile.ts';
import { find } from './dom.ts';
import { PayloadRoom } from './payload/room.ts';
import './style/page.css';
import './style/payload.css';
import './style/capture.css';
import './style/media.css';

const ROOMS = ['payload', 'capture'];

const theme = find('theme', HTMLSelectElement);
theme.addEventListener('change', () => {
  document.documentElement.style.colorScheme = theme.value;
});

/** Shows the room that the address names, the first one if it names none. */
function enter(): void {
  const named = ROOMS.find((room) => location.hash === `#${room}` || location.hash.startsWith(`#${room}/`)) ?? 'payload';
  for (const room of ROOMS) {
    find(room, HTMLElement).hidden = room !== named;
    const link = find(`to-${room}`, HTMLAnchorElement);
    if (room === named) {
      link.setAttribute('aria-current', 'page');
      document.title = `${link.textContent} - lowband: what is on the wire`;
    } else link.removeAttribute('aria-current');
  }
}

async function begin(): Promise<void> {
  const module = await compile();
  start(module);
  // Each room opens in the other one what belongs there.
  const payload: PayloadRoom = new PayloadRoom((files) => {
    location.hash = '#capture';
    capture.add(files);
  });
  const capture = new CaptureRoom(module, (bytes) => {
    location.hash = '#payload';
    payload.showBytes('body', bytes);
  });
  const follow = () => {
    enter();
    void payload.showShared(location.hash);
  };
  addEventListener('hashchange', follow);
  payload.update();
  follow();
  document.documentElement.dataset['ready'] = '';
}

begin().catch((error: unknown) => {
  const fatal = find('fatal', HTMLParagraphElement);
  fatal.textContent = `The page could not start: ${error instanceof Error ? error.message : String(error)}`;
  fatal.hidden = false;
});
