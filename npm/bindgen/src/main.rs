//! `lowband-npm-bindgen FOLDER MODULE`: turns a wasm module as the compiler leaves it into the files that go
//! to JavaScript: those of the npm package, or of the page in `devtools/`.
//!
//! FOLDER gets the module and the JavaScript and the types around it; the npm package also the module once
//! more as a text, the list of the codec's error kinds, and its default limits. The library behind the
//! `wasm-bindgen` command does the work, so that Cargo.lock alone determines its version.

use lowband_codec::{ErrorKind, Limits};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

/// The file name of the module of the page.
const OF_THE_PAGE: &str = "lowband_devtools";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, module] = arguments.as_slice() else {
        eprintln!("usage: lowband-npm-bindgen FOLDER MODULE");
        return ExitCode::from(2);
    };
    let of_the_page = module.file_stem().is_some_and(|name| name == OF_THE_PAGE);
    if let Err(error) = generate(module, folder, of_the_page) {
        eprintln!("{}: {error}", module.display());
        return ExitCode::FAILURE;
    }
    if !of_the_page && let Err(error) = write_texts(folder) {
        eprintln!("{}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn generate(module: &Path, folder: &Path, of_the_page: bool) -> Result<(), Box<dyn Error>> {
    Bindgen::new()
        .input_path(module)
        .out_name(if of_the_page { OF_THE_PAGE } else { "lowband_codec" })
        .web(true)?
        .typescript(true)
        // The entries of the package say where the module is. With a default address the JavaScript would
        // hold `import.meta`, which plain scripts and CommonJS do not have.
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    Ok(())
}

/// Writes what is made of the generated module and of the codec.
fn write_texts(folder: &Path) -> std::io::Result<()> {
    let module = std::fs::read(folder.join("lowband_codec_bg.wasm"))?;
    for (name, text) in [
        ("module-hex.js", module_text(&module)),
        ("module-hex.d.ts", "export const HEX: string;\n".into()),
        ("error-kinds.js", error_kinds()),
        ("error-kinds.d.ts", error_kind_types()),
        ("limits.js", limits()),
        ("limits.d.ts", LIMIT_TYPES.into()),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Returns the module as JavaScript. Hexadecimal, because it keeps bytes whole: gzip makes it a tenth larger
/// than the module itself, and base64 a third.
fn module_text(module: &[u8]) -> String {
    let mut text = String::from("export const HEX =\n  '");
    for byte in module {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text.push_str("';\n");
    text
}

/// Returns the word and the sentence of each [`ErrorKind`], which the module identifies by its index.
fn error_kinds() -> String {
    let line = |kind: &ErrorKind| format!("  [{:?}, {:?}],\n", kind.name(), kind.sentence());
    let lines: String = ErrorKind::ALL.iter().map(line).collect();
    format!("export const ERROR_KINDS = [\n{lines}];\n")
}

/// Returns the words as a TypeScript type.
fn error_kind_types() -> String {
    let words: String = ErrorKind::ALL.iter().map(|kind| format!("\n  | '{}'", kind.name())).collect();
    format!(
        "/** Why the codec refused an input. The list may grow. */\nexport type ErrorKind ={words};\n
export const ERROR_KINDS: readonly (readonly [kind: ErrorKind, sentence: string])[];\n"
    )
}

/// Returns the default limits of the codec, which what is written in JavaScript keeps as well.
fn limits() -> String {
    let line = |name: &str, Limits { max_input, max_output, max_depth, .. }: Limits| {
        format!(
            "export const {name} = {{ maxInput: {max_input}, maxOutput: {max_output}, maxDepth: {max_depth} }};\n"
        )
    };
    line("ENCODE_LIMITS", Limits::ENCODE) + &line("DECODE_LIMITS", Limits::DECODE)
}

const LIMIT_TYPES: &str =
    "type Limits = { readonly maxInput: number; readonly maxOutput: number; readonly maxDepth: number };
export const ENCODE_LIMITS: Limits;
export const DECODE_LIMITS: Limits;
export {};
";
