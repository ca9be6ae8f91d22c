//! What happened since the start and what there is now: declared once, listed by the same lines.
//!
//! The families are those of an exporter such as Prometheus': numbers stand under one name when their sum means something, and
//! everything else has a name of its own.

/// What stands under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Without the program's prefix, and without the `_total` that Prometheus writes behind counters.
    pub name: &'static str,
    /// A sentence without the full stop. With a label it tells the meaning of each value.
    pub help: String,
    /// Whether it only grows.
    pub kind: Kind,
    /// One number without a label, or one for each value of this one.
    pub numbers: Numbers,
}

/// What kind of number a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Now.
    Gauge,
    /// Since the start.
    Counter,
}

/// The numbers of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    /// Without a label.
    One(u64),
    /// The name of the label, then each of its values with its number.
    Labelled(&'static str, Vec<(&'static str, u64)>),
}

impl Family {
    pub(crate) fn single(name: &'static str, doc: &str, kind: Kind, number: u64) -> Family {
        Family { name, help: sentence(doc).to_owned(), kind, numbers: Numbers::One(number) }
    }

    /// Of `(value, doc, number)`.
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

/// The text of a documentation comment, which begins with a space.
fn sentence(doc: &str) -> &str {
    doc.trim().trim_end_matches('.')
}

/// Declares the struct `Counters` and its lists, so that an exporter needs no list of its own: a line for each number with its
/// meaning, its field, and its family or its value in the label of one. What is `unlisted` is of no meaning for a server.
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
            /// Name and value of everything that only grows.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [
                    $( (stringify!($counter), self.$counter), )*
                    $( $( (stringify!($member), self.$member), )* )*
                    $( (stringify!($unlisted), self.$unlisted), )*
                ].into_iter()
            }

            /// What a server shows to its operators.
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
