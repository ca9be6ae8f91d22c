//! CoAP (RFC 7252) as bytes: messages, their codes, options and blocks.
//!
//! ```text
//!     options, access_token              what the options of a request or a response mean
//!   block, content_format, uint          what the value of an option means
//!             numbers                    which options there are, and their limits
//!         message, code                  what a message consists of
//! ```

pub mod access_token;
pub mod block;
mod code;
pub mod content_format;
pub mod fault;
pub mod message;
pub mod numbers;
pub mod options;
pub mod uint;

pub use code::{Code, Method};
