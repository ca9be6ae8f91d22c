//! Messages of CoAP (RFC 7252) put together to exchanges: copies, acknowledgements, blocks of both bodies
//! (RFC 7959), notifications (RFC 7641).

mod body;
mod exchanges;
mod open;
mod options;

pub(crate) use body::{Assembly, Describer, Room, Translated, Way};
pub(crate) use exchanges::{Arrived, Exchanges};
pub(crate) use options::Said;
