//! What happened since the start and what there is now: declared once, listed by the same lines.

/// Declares the struct `Counters` and its lists, so that an exporter needs no list of its own.
macro_rules! counters {
    (
        gauges { $( #[doc = $gauge_help:literal] $gauge:ident, )* }
        counters { $( #[doc = $help:literal] $counter:ident, )* }
    ) => {
        /// Numbers since the start, one per reason, and gauges. Names become metric labels.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $( #[doc = $gauge_help] pub $gauge: u64, )*
            $( #[doc = $help] pub $counter: u64, )*
        }

        impl Counters {
            /// Name and value of everything that only grows.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [ $( (stringify!($counter), self.$counter), )* ].into_iter()
            }
            /// Name and value of what there is now.
            pub fn gauges(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [ $( (stringify!($gauge), self.$gauge), )* ].into_iter()
            }
        }
    };
}

pub(crate) use counters;
