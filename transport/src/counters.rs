//! Counters of what has happened since the start, and gauges of what there is now. Each number is declared
//! and listed by the same line.
//!
//! Families are those of an exporter such as Prometheus': numbers share a name if their sum means something,
//! and every other number has a name of its own.

/// A name under which one or more numbers are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Name without the program's prefix, and without the `_total` that Prometheus appends to counters.
    pub name: &'static str,
    /// A sentence without the full stop. For a family with a label it explains each value of the label.
    pub help: String,
    /// Counter if the numbers only grow, otherwise gauge.
    pub kind: Kind,
    /// One number, or one for each value of a label.
    pub numbers: Numbers,
}

/// What kind of number a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number of now, which may grow and shrink.
    Gauge,
    /// A number since the start, which only grows.
    Counter,
}

/// The numbers of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    /// A single number without a label.
    One(u64),
    /// Name of the label, then each of its values with its number.
    Labelled(&'static str, Vec<(&'static str, u64)>),
}

impl Family {
    pub(crate) fn single(name: &'static str, doc: &str, kind: Kind, number: u64) -> Family {
        Family { name, help: sentence(doc).to_owned(), kind, numbers: Numbers::One(number) }
    }

    /// Makes a family of numbers that a label distinguishes, from `(value, doc, number)`.
    pub(crate) fn labelled<const N: usize>(
        name: &'static str,
        doc: &str,
        label: &'static str,
        members: [(&'static str, &str, u64); N],
    ) -> Family {
        let meanings = members.map(|(value, doc, _)| format!("{value}: {}", sentence(doc)));
        let help = format!("{}. By {label}, {}", sentence(doc), meanings.join("; "));
        let numbers = Numbers::Labelled(label, members.map(|(value, _, number)| (value, number)).to_vec());
        Family { name, help, kind: Kind::Counter, numbers }
    }
}

/// Returns the text of a documentation comment without the blank it begins with and its full stop.
fn sentence(doc: &str) -> &str {
    doc.trim().trim_end_matches('.')
}

/// Declares the struct `Counters` and its lists, so that an exporter needs no list of its own. Each number
/// has a line with its meaning, its field, and either its family or its value of a family's label. `unlisted`
/// ones mean nothing to a server.
macro_rules! counters {
    (
        gauges { $( #[doc = $gauge_doc:literal] $gauge:ident = $gauge_name:literal, )* }
        counters { $( #[doc = $doc:literal] $counter:ident = $name:literal, )* }
        families { $(
            #[doc = $family_doc:literal]
            $family:literal by $label:literal { $( #[doc = $member_doc:literal] $member:ident = $value:literal, )* }
        )* }
        unlisted { $( #[doc = $unlisted_doc:literal] $unlisted:ident, )* }
    ) => {
        /// Numbers since the start, one per reason, and gauges.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $( #[doc = $gauge_doc] pub $gauge: u64, )*
            $( #[doc = $doc] pub $counter: u64, )*
            $( $( #[doc = $member_doc] pub $member: u64, )* )*
            $( #[doc = $unlisted_doc] pub $unlisted: u64, )*
        }

        impl Counters {
            /// Returns the name and the value of every number that only grows.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [
                    $( (stringify!($counter), self.$counter), )*
                    $( $( (stringify!($member), self.$member), )* )*
                    $( (stringify!($unlisted), self.$unlisted), )*
                ].into_iter()
            }

            /// Returns what a server shows to its operators.
            pub fn families(&self) -> Vec<$crate::counters::Family> {
                use $crate::counters::{Family, Kind};
                vec![
                    $( Family::single($gauge_name, $gauge_doc, Kind::Gauge, self.$gauge), )*
                    $( Family::single($name, $doc, Kind::Counter, self.$counter), )*
                    $( Family::labelled($family, $family_doc, $label, [
                        $( ($value, $member_doc, self.$member), )*
                    ]), )*
                ]
            }
        }
    };
}

pub(crate) use counters;
