// Files and texts that are dropped onto a room.

/** Takes what is dropped anywhere in `room`, and marks `target` for as long as something hovers over it. */
export function takeDrops(room: HTMLElement, target: HTMLElement, take: (files: File[], text: string) => void): void {
  room.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  room.addEventListener('dragleave', () => target.classList.remove('over'));
  room.addEventListener('drop', (event) => {
    event.preventDefault();
    target.classList.remove('over');
    take([...(event.dataTransfer?.files ?? [])], event.dataTransfer?.getData('text/plain') ?? '');
  });
}
