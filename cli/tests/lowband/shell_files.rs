//! `lowband completions` and `lowband man`.

use crate::command::{assert_quiet_success, run, status, stderr};
use std::path::PathBuf;
use std::process::Command;

#[test]
fn bash_completes_commands_and_flags() {
    let output = run(&["completions", "bash"]);
    assert_quiet_success(&output);
    let script = String::from_utf8(output.stdout).unwrap();
    // What bash does at a tab, with the words so far and the number of the one to complete.
    let complete = |words: &str, number: usize| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={number}; _lowband lowband \"${{COMP_WORDS[{number}]}}\" \
             \"${{COMP_WORDS[{number}-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("lowband co", 1), "coap completions");
    assert_eq!(complete("lowband coap --write", 2), "--write-out");
    assert_eq!(complete("lowband completions z", 2), "zsh");
}

#[test]
fn each_shell_has_completions_and_others_are_named() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert_quiet_success(&output);
        assert!(String::from_utf8(output.stdout).unwrap().contains("write-out"), "{shell}");
    }
    let output = run(&["completions", "tcsh"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("zsh"), "{}", stderr(&output));
}

#[test]
fn man_pages_say_what_help_says() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("man-{}", std::process::id()));
    assert_quiet_success(&run(&["man", folder.to_str().unwrap()]));
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = ["-coap", "-completions", "-doctor", "-jc", "-man", "-proxy", "-show", ""]
        .map(|name| format!("lowband{name}.1"));
    assert_eq!(names, expected);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let program = page("lowband.1");
    assert!(program.contains(".SH COMMANDS\n.TP\nlowband\\-coap(1)\n"), "{program}");
    assert!(program.contains("\\fICOMMAND\\fR"), "{program}");
    let coap = page("lowband-coap.1");
    let title = format!(".TH \"LOWBAND-COAP\" 1 \"\" \"lowband {}\"", env!("CARGO_PKG_VERSION"));
    for part in [
        title.as_str(),
        "\\-\\-write\\-out",
        "[\\fB\\-X\\fR \\fIMETHOD\\fR] [\\fB\\-d\\fR \\fIDATA\\fR]",
        // The rows of a table have a paragraph each, and examples stay as they are.
        ".SH \"VARIABLES OF \\-w\"\n.TP\n\\fBcode\\fR\n",
        ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nall went well",
        "\n.TP\n\\fB77\\fR\nthe file of \\-\\-cacert",
        ".SH ENVIRONMENT\n.TP\n\\fBSSLKEYLOGFILE\\fR\n",
        ".SH EXAMPLES\n.nf\nlowband coap \\-k coaps://localhost/",
        ".SH \"SEE ALSO\"\n\\fBlowband\\fR(1),\n",
    ] {
        assert!(coap.contains(part), "{part} is missing in: {coap}");
    }
    let version = format!("lowband {}", env!("CARGO_PKG_VERSION"));
    for name in &names {
        let page = page(name);
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        assert!(headings.starts_with(&["NAME", "SYNOPSIS", "DESCRIPTION"]), "{name}: {headings:?}");
        assert!(!headings.contains(&"EXTRA") && page.contains(&version), "{name}: {headings:?}");
        // Nothing runs together: outside of examples no line begins with a blank.
        let mut parts = page.split(".nf\n");
        let mut outside = parts.next().unwrap().to_owned();
        outside.extend(parts.map(|part| part.split_once(".fi\n").unwrap().1));
        assert!(!outside.lines().any(|line| line.starts_with(' ')), "{name}: {outside}");
    }
    std::fs::remove_dir_all(&folder).unwrap();

    let output = run(&["man", "/dev/null/pages"]);
    assert_eq!(status(&output), 23);
    assert!(stderr(&output).contains("/dev/null/pages"), "{}", stderr(&output));
}
