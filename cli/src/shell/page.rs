//! The man page of a command. Name, description and options are those of the library; the synopsis has the
//! names of values, and what stands below the options in `--help` becomes sections of their own:
//!
//! ```text
//! Exit status:               .SH "EXIT STATUS"
//!    0  all went well   ->   .TP / 0 / all went well
//! Examples:                  .SH EXAMPLES
//!   lowband jc '{}'     ->   .nf, as it stands
//! words without a heading -> .SH NOTES
//! ```

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::io;

/// What the manual is called in the head of each page.
const MANUAL: &str = "Low-bandwidth Matrix";
const SOURCE: &str = concat!("lowband ", env!("CARGO_PKG_VERSION"));
/// Heading of examples, whose lines stay as they are.
const EXAMPLES: &str = "EXAMPLES";
/// Heading of words that have none in `--help`.
const NOTES: &str = "NOTES";
/// Sections in the order that man-pages(7) has; others come before them.
const ORDER: [&str; 4] = ["EXIT STATUS", "ENVIRONMENT", NOTES, EXAMPLES];

/// Returns the name of the file of a command's page.
pub(super) fn file_name(command: &Command) -> String {
    format!("{}.1", name(command))
}

/// Writes the page of one of the commands of `program`, or of the program itself.
pub(super) fn render(command: &Command, program: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"));
    let mut page = Vec::new();
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let help = command.get_after_long_help().or_else(|| command.get_after_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let mut rest = Roff::new();
    sections(&help).iter().for_each(|section| section.write(&mut rest));
    see_also(command, program, &mut rest);
    rest.to_writer(&mut page)?;

    // Each part begins with the same definition of an apostrophe; it has to come before the title.
    let definition = Roff::new().render();
    let body = String::from_utf8_lossy(&page).replace(&definition, "");
    let title = name(command).to_uppercase();
    // The library leaves out an empty date, and the source stands in its place. Lines are not adjusted and
    // words not hyphenated: many are long, and none may be copied with a hyphen that is not its own.
    let head = format!("{definition}.TH \"{title}\" 1 \"\" \"{SOURCE}\" \"{MANUAL}\"\n.ad l\n.nh\n");
    Ok((head + &body).into_bytes())
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// Writes the synopsis: each option with the names of its values, and where it stands for several words,
/// once.
fn synopsis(command: &Command) -> Roff {
    let mut words = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
    let shown = |argument: &&Arg| !argument.is_hide_set();
    for option in command.get_opts().chain(flags(command)).filter(shown) {
        words.push(roman(" ["));
        words.extend(option_and_value(option));
        words.push(roman(if is_repeated(option) { "]..." } else { "]" }));
    }
    for positional in command.get_positionals().filter(shown) {
        let [begin, end] = if positional.is_required_set() { [" ", ""] } else { [" [", "]"] };
        words.extend([roman(begin), italic(value(positional)), roman(end)]);
        words.extend(is_repeated(positional).then(|| roman("...")));
    }
    if command.has_subcommands() {
        words.extend([roman(" "), italic("COMMAND"), roman(" ...")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text(words);
    roff
}

/// Returns the options that take no value.
fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_positional() && !takes_value(argument))
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

fn is_repeated(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append | ArgAction::Count)
}

fn option_and_value(option: &Arg) -> Vec<Inline> {
    let flag = match (option.get_short(), option.get_long()) {
        (Some(short), _) => format!("-{short}"),
        (None, long) => format!("--{}", long.unwrap_or_default()),
    };
    let mut words = vec![bold(flag)];
    if takes_value(option) {
        words.extend([roman(" "), italic(value(option))]);
    }
    words
}

fn value(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    if names.is_empty() { argument.get_id().to_string().to_uppercase() } else { names.join(" ") }
}

/// A part of what stands below the options in `--help`.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    heading: String,
    lines: Vec<String>,
}

/// Takes the text below the options apart, and puts the parts in the order of a page. A heading is a line
/// that begins at the margin and ends with a colon, before lines that are indented.
fn sections(help: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = help.lines().peekable();
    let mut after_blank = true;
    while let Some(line) = lines.next() {
        let before_rows = lines.peek().is_some_and(|next| next.starts_with(' '));
        if let Some(heading) = line.strip_suffix(':').filter(|_| before_rows && !line.starts_with(' ')) {
            sections.push(Section { heading: heading_of(heading), lines: Vec::new() });
        } else {
            let is_note = after_blank && !line.is_empty() && !line.starts_with(' ');
            let goes_on = sections.last().is_some_and(|last| last.heading == NOTES);
            if is_note && !goes_on {
                sections.push(Section { heading: NOTES.to_owned(), lines: Vec::new() });
            }
            if let Some(last) = sections.last_mut() {
                last.lines.push(line.to_owned());
            }
        }
        after_blank = line.is_empty();
    }
    let place = |section: &Section| ORDER.iter().position(|heading| *heading == section.heading);
    // Sorting is stable: those without a place come first, in their order.
    sections.sort_by_key(|section| place(section).map_or(0, |place| place + 1));
    sections
}

/// Returns a heading of `--help` as one of a page: in capitals, but for flags, and without what follows a
/// comma.
fn heading_of(heading: &str) -> String {
    let heading = heading.split(',').next().unwrap_or_default();
    let capitals = |word: &str| if word.starts_with('-') { word.to_owned() } else { word.to_uppercase() };
    heading.split(' ').map(capitals).collect::<Vec<_>>().join(" ")
}

impl Section {
    fn write(&self, roff: &mut Roff) {
        roff.control("SH", [self.heading.replace('-', "\\-").as_str()]);
        let lines = self.lines.iter().map(String::as_str);
        let end = self.lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        if self.heading == EXAMPLES {
            roff.control("nf", []);
            for line in lines.take(end) {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
            return;
        }
        let mut in_rows = false;
        for line in lines.take(end) {
            match (row(line), line.trim()) {
                (Some((key, meaning)), _) => {
                    roff.control("TP", []).text([bold(key)]).text([roman(meaning)]);
                    in_rows = true;
                }
                (None, "") => {
                    roff.control("PP", []);
                    in_rows = false;
                }
                (None, text) => {
                    if in_rows && !line.starts_with(' ') {
                        roff.control("PP", []);
                        in_rows = false;
                    }
                    roff.text([roman(text)]);
                }
            }
        }
    }
}

/// Splits a row of a table, two blanks or more before its key and two behind.
fn row(line: &str) -> Option<(&str, &str)> {
    let (key, meaning) = line.strip_prefix("  ")?.trim_start().split_once("  ")?;
    let is_key = !key.contains(' ') && line.find(key)? <= 4;
    is_key.then(|| (key, meaning.trim_start()))
}

/// Writes which pages there are besides.
fn see_also(command: &Command, program: &Command, roff: &mut Roff) {
    let all = std::iter::once(program).chain(program.get_subcommands());
    let others: Vec<&str> = all.map(name).filter(|other| *other != name(command)).collect();
    roff.control("SH", ["SEE ALSO"]);
    let last = others.len().saturating_sub(1);
    for (at, other) in others.into_iter().enumerate() {
        roff.text([bold(other), roman(if at == last { "(1)" } else { "(1)," })]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(heading: &str, lines: &[&str]) -> Section {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Section { heading: heading.to_owned(), lines }
    }

    #[test]
    fn what_stands_below_the_options_becomes_sections_in_the_order_of_a_page() {
        let help = "Examples:\n  a | b\n\nWords, and\nmore: of them.\n\nOthers.\n\nVariables of -w, of each:\n  \
                    x  an x\n\nExit status:\n   0  well\nThe first decides.";
        let expected = [
            section("VARIABLES OF -w", &["  x  an x", ""]),
            section("EXIT STATUS", &["   0  well", "The first decides."]),
            section(NOTES, &["Words, and", "more: of them.", "", "Others.", ""]),
            section(EXAMPLES, &["  a | b", ""]),
        ];
        assert_eq!(sections(help), expected);
        assert_eq!(sections(""), []);
    }

    #[test]
    fn rows_have_a_paragraph_each_and_examples_stay_as_they_are() {
        let written = |section: Section| {
            let mut roff = Roff::new();
            section.write(&mut roff);
            roff.to_roff()
        };
        let rows = section("EXIT STATUS", &["   0  all went", "      well", "  22  not", "The first."]);
        let expected =
            ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nall went\nwell\n.TP\n\\fB22\\fR\nnot\n.PP\nThe first.\n";
        assert_eq!(written(rows), expected);
        let examples = section(EXAMPLES, &["  lowband  jc \\", "    x", ""]);
        assert_eq!(written(examples), ".SH EXAMPLES\n.nf\nlowband  jc \\\\\n  x\n.fi\n");
    }

    #[test]
    fn a_row_is_told_apart_from_a_line_that_goes_on() {
        for (line, expected) in [
            ("   0  all went well", Some(("0", "all went well"))),
            ("  120  a", Some(("120", "a"))),
            ("  time_total     seconds", Some(("time_total", "seconds"))),
            ("                 more  of it", None),
            ("  a sentence.  Another", None),
            ("words", None),
        ] {
            assert_eq!(row(line), expected, "{line:?}");
        }
    }
}
