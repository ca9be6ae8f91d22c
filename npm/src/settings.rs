//! The settings of a caller, as JavaScript passes them: small numbers for words, a key table by its number,
//! limits or none.
//!
//! Limits have upper bounds of their own here: a module has at most 4 GiB of memory, and running out of it
//! would end the module.

use crate::tables::Tables;
use lowband_codec::{DecodeOptions, EncodeOptions, Limits, Order, Policy, PushOptions};

/// Largest `max_input`. The input has a buffer of its own, and that of the output may double while it is
/// copied.
pub const MAX_INPUT: u32 = 256 << 20;
/// Largest `max_output`: twice that while the buffer grows, plus the input, is well below 4 GiB.
pub const MAX_OUTPUT: u32 = 512 << 20;
/// Largest `max_depth`: an open container takes some dozens of bytes.
pub const MAX_DEPTH: u32 = 1 << 16;

/// Policies; JavaScript passes the index in this list for [`Policy`].
pub const POLICIES: [(&str, Policy); 2] = [("strict", Policy::Strict), ("lenient", Policy::Lenient)];

/// Orders; JavaScript passes the index in this list for [`Order`].
pub const ORDERS: [(&str, Order); 3] =
    [("as_written", Order::AsWritten), ("bytewise", Order::Bytewise), ("length_first", Order::LengthFirst)];

/// All settings of one call; a direction ignores those that it does not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Number of the key table, see [`Tables`].
    pub keys: u32,
    /// How JSON that is not clean is handled.
    pub policy: Policy,
    /// The order of a map's keys.
    pub order: Order,
    /// Bounds of input, output and depth.
    pub limits: Limits,
}

/// [`Limits`] as JavaScript passes them: `None` is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of input.
    pub max_input: Option<u32>,
    /// Bytes of output.
    pub max_output: Option<u32>,
    /// The most open arrays and objects.
    pub max_depth: Option<u32>,
}

impl Settings {
    /// Makes settings from JavaScript's numbers; `defaults` are [`Limits::ENCODE`] or [`Limits::DECODE`].
    ///
    /// # Errors
    ///
    /// A sentence that names the invalid setting.
    pub fn new(
        keys: u32,
        policy: u32,
        order: u32,
        bounds: Bounds,
        defaults: Limits,
        tables: &Tables,
    ) -> Result<Settings, String> {
        if keys >= tables.len() {
            return Err("no such key table".into());
        }
        Ok(Settings {
            keys,
            policy: chosen(&POLICIES, policy).ok_or("no such policy")?,
            order: chosen(&ORDERS, order).ok_or("no such order")?,
            limits: Limits {
                max_input: limit("maxInput", bounds.max_input, defaults.max_input, MAX_INPUT)?,
                max_output: limit("maxOutput", bounds.max_output, defaults.max_output, MAX_OUTPUT)?,
                max_depth: limit("maxDepth", bounds.max_depth, defaults.max_depth, MAX_DEPTH)?,
                ..defaults
            },
        })
    }

    /// Returns the options for JSON to CBOR.
    pub fn encode_options(&self, tables: &Tables) -> EncodeOptions<'static> {
        EncodeOptions {
            keys: tables.get(self.keys),
            policy: self.policy,
            order: self.order,
            limits: self.limits,
        }
    }

    /// Returns the options for JSON to CBOR in pieces.
    pub fn push_options(&self, tables: &Tables) -> PushOptions<'static> {
        PushOptions { keys: tables.get(self.keys), policy: self.policy, limits: self.limits }
    }

    /// Returns the options for CBOR to JSON.
    pub fn decode_options(&self, tables: &Tables) -> DecodeOptions<'static> {
        DecodeOptions { keys: tables.get(self.keys), limits: self.limits }
    }
}

fn chosen<T: Copy>(list: &[(&str, T)], number: u32) -> Option<T> {
    list.get(usize::try_from(number).ok()?).map(|(_, choice)| *choice)
}

fn limit(name: &str, wanted: Option<u32>, default: usize, largest: u32) -> Result<usize, String> {
    match wanted {
        None => Ok(default),
        Some(wanted) if wanted > largest => {
            Err([name, " can be at most ", itoa::Buffer::new().format(u64::from(largest))].concat())
        }
        // A pointer has as many bits.
        Some(wanted) => Ok(wanted as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_chosen_is_strict_as_written_with_the_codec_s_own_limits() {
        let tables = Tables::default();
        let settings = Settings::new(Tables::V1, 0, 0, Bounds::default(), Limits::ENCODE, &tables).unwrap();
        let options = settings.encode_options(&tables);
        assert_eq!((options.policy, options.order), (Policy::Strict, Order::AsWritten));
        assert_eq!(options.limits, EncodeOptions::default().limits);
        assert_eq!(options.keys.unwrap().title(), "v1");
        let settings = Settings::new(Tables::V1, 0, 0, Bounds::default(), Limits::DECODE, &tables).unwrap();
        let options = settings.decode_options(&tables);
        assert_eq!(options.limits, DecodeOptions::default().limits);
        assert_eq!(options.keys.unwrap().title(), "v1");
    }

    #[test]
    fn each_limit_has_a_largest_value() {
        let tables = Tables::default();
        let settings =
            |bounds| Settings::new(0, 0, 0, bounds, Limits::ENCODE, &tables).map(|settings| settings.limits);
        let largest =
            Bounds { max_input: Some(MAX_INPUT), max_output: Some(MAX_OUTPUT), max_depth: Some(MAX_DEPTH) };
        assert_eq!(settings(largest).unwrap().max_output, 512 << 20);
        for (above, name) in [
            (Bounds { max_input: Some(MAX_INPUT + 1), ..largest }, "maxInput"),
            (Bounds { max_output: Some(MAX_OUTPUT + 1), ..largest }, "maxOutput"),
            (Bounds { max_depth: Some(MAX_DEPTH + 1), ..largest }, "maxDepth "),
        ] {
            assert!(settings(above).unwrap_err().starts_with(name), "{name}");
        }
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let tables = Tables::default();
        for (keys, policy, order) in
            [(tables.len(), 0, 0), (0, 2, 0), (0, 0, 3), (u32::MAX, u32::MAX, u32::MAX)]
        {
            assert!(Settings::new(keys, policy, order, Bounds::default(), Limits::ENCODE, &tables).is_err());
        }
    }
}
