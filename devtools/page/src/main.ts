// Starts the page: the module, the rooms, the theme.

import { compile, start } from './codec.ts';
import { find } from './dom.ts';
import { PayloadRoom } from './payload/room.ts';
import './style/page.css';
import './style/payload.css';

const theme = find('theme', HTMLSelectElement);
theme.addEventListener('change', () => {
  document.documentElement.style.colorScheme = theme.value;
});

async function begin(): Promise<void> {
  start(await compile());
  const payload = new PayloadRoom();
  const follow = () => void payload.showShared(location.hash);
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
