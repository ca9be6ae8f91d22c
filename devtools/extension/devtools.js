// Adds the panel to the browser's developer tools.

chrome.devtools.panels.create('CBOR', '', 'panel.html');
