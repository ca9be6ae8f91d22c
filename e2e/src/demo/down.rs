//! `demo down`.

use crate::demo::up::NAME;
use crate::error::{Error, Result};
use crate::process::PidFile;
use crate::tell::say;
use std::path::Path;

/// Ends the demo of this folder, which ends its parts; then any part that a killed demo left behind.
pub fn down(dir: &Path) -> Result<()> {
    let demo = PidFile::running(dir, NAME);
    let mut ended = 0;
    if let Some(demo) = demo {
        end(&demo)?;
        ended += 1;
    }
    for part in PidFile::all_running(dir) {
        end(&part)?;
        ended += 1;
    }
    if ended == 0 {
        say(format_args!("nothing of a demo runs in {}", dir.display()));
    }
    Ok(())
}

fn end(part: &PidFile) -> Result<()> {
    if !part.end() {
        return Err(Error::Setup(format!("{} (process {}) does not end", part.name, part.id())));
    }
    say(format_args!("ended {} (process {})", part.name, part.id()));
    Ok(())
}
