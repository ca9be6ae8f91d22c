//! `lowband-npm-bindgen FOLDER MODULE...`: wasm modules as the compiler leaves them, to what the npm package holds of them.
//!
//! FOLDER gets each module, the JavaScript and the types around it, and the list of the codec's error kinds as a type. The
//! library that the `wasm-bindgen` command is made of does the work, so that Cargo.lock alone says which version.

use lowband_codec::ErrorKind;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, modules @ ..] = arguments.as_slice() else {
        eprintln!("usage: lowband-npm-bindgen FOLDER MODULE...");
        return ExitCode::from(2);
    };
    for module in modules {
        if let Err(error) = generate(module, folder) {
            eprintln!("{}: {error}", module.display());
            return ExitCode::FAILURE;
        }
    }
    match std::fs::write(folder.join("error-kinds.d.ts"), error_kinds()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn generate(module: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let name = module.file_stem().and_then(|name| name.to_str()).ok_or("no name of a module")?;
    Bindgen::new()
        .input_path(module)
        .out_name(name.trim_start_matches("lowband_npm_"))
        .web(true)?
        .typescript(true)
        // Else `init()` has no address to load the module from, and the browser says no more than that it got no buffer.
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    Ok(())
}

/// The words of [`ErrorKind`] as a type of TypeScript.
fn error_kinds() -> String {
    let words: String = ErrorKind::ALL.iter().map(|kind| format!("\n  | '{}'", kind.name())).collect();
    format!("/** Why the codec refused an input. The list may grow. */\nexport type ErrorKind ={words};\n")
}
