//! The list of resources at `/.well-known/core` (RFC 6690), which the sidecar answers by itself: what is
//! served, in which formats, and in blocks of which size. Tools for CoAP ask for it first.
//!
//! Nothing here can be observed (RFC 7641), so that no link has `obs`. `szx` is not a registered attribute
//! (RFC 9423): it is the exponent of the largest block (RFC 7959 section 2.2), for people who read the list.

use crate::refusal::Refusal;
use lowband_wire::coap::options::{RequestOptions, ResponseOptions};
use lowband_wire::coap::{Code, Method};

/// The path of the list.
pub const CORE_PATH: [&str; 2] = [".well-known", "core"];

/// Content-Format of `application/link-format` (RFC 7252 section 12.3).
const LINK_FORMAT: u16 = 40;

const NOT_ACCEPTABLE: Refusal = Refusal::diagnostic(
    Code::NOT_ACCEPTABLE,
    "the list of resources is served as application/link-format (40) alone",
);
/// Refuses any other method for a resource of the sidecar itself.
pub(crate) const ONLY_GET: Refusal = Refusal::diagnostic(Code::METHOD_NOT_ALLOWED, "only GET");

/// A link to a resource, and to all that lies below it.
struct Link {
    target: &'static str,
    /// Names and values; a value may be a list of words.
    attributes: &'static [(&'static str, &'static str)],
}

const LINKS: [Link; 3] = [
    Link {
        target: "/_matrix/client",
        attributes: &[("rt", "matrix.client"), ("if", "matrix.msc3079"), ("ct", "60 50"), ("szx", "6")],
    },
    Link {
        target: "/.well-known/matrix/client",
        attributes: &[("rt", "matrix.discovery"), ("ct", "60 50"), ("szx", "6")],
    },
    Link { target: "/.lowband/ready", attributes: &[("rt", "lowband.ready")] },
];

/// Returns options and body of the answer to a request for [`CORE_PATH`].
pub fn answer(method: Method, asked: &RequestOptions) -> Result<(ResponseOptions, String), Refusal> {
    if method != Method::Get {
        return Err(ONLY_GET);
    }
    if asked.accept.is_some_and(|format| format != LINK_FORMAT) {
        return Err(NOT_ACCEPTABLE);
    }
    let filters: Vec<_> = asked.query.iter().filter_map(|query| query.split_once('=')).collect();
    let fits = |link: &&Link| filters.iter().all(|(name, pattern)| link.fits(name, pattern));
    let list = LINKS.iter().filter(fits).map(Link::encode).collect::<Vec<_>>().join(",");
    let size = u64::try_from(list.len()).ok();
    Ok((ResponseOptions { content_format: Some(LINK_FORMAT), size, ..ResponseOptions::default() }, list))
}

impl Link {
    /// Returns whether the link has this attribute (or `href`, its target) with one of its words as the
    /// pattern says: a word, or the beginning of one and `*` (RFC 6690 section 4.1).
    fn fits(&self, name: &str, pattern: &str) -> bool {
        let is_it = |word: &str| match pattern.strip_suffix('*') {
            Some(beginning) => word.starts_with(beginning),
            None => word == pattern,
        };
        if name == "href" {
            return is_it(self.target);
        }
        let mut values = self.attributes.iter().filter(|(known, _)| *known == name);
        values.any(|(_, value)| value.split(' ').any(is_it))
    }

    fn encode(&self) -> String {
        let mut link = format!("<{}>", self.target);
        for (name, value) in self.attributes {
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            let quote = if is_number { "" } else { "\"" };
            link.extend([";", name, "=", quote, value, quote]);
        }
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::block::BlockSize;

    fn asked(query: &[&str], accept: Option<u16>) -> RequestOptions {
        let query = query.iter().map(|text| (*text).to_owned()).collect();
        RequestOptions { query, accept, ..RequestOptions::default() }
    }

    /// Returns the targets of the links that a filter leaves.
    fn targets(query: &[&str]) -> Vec<String> {
        let (_, list) = answer(Method::Get, &asked(query, None)).unwrap();
        let links = list.split(',').filter(|link| !link.is_empty());
        links.map(|link| link[1..link.find('>').unwrap()].to_owned()).collect()
    }

    #[test]
    fn the_list_is_in_link_format_and_fits_into_one_message() {
        for accept in [None, Some(40)] {
            let (options, list) = answer(Method::Get, &asked(&[], accept)).unwrap();
            assert_eq!((options.content_format, options.size), (Some(40), Some(list.len() as u64)));
            assert_eq!(
                list,
                "</_matrix/client>;rt=\"matrix.client\";if=\"matrix.msc3079\";ct=\"60 50\";szx=6,\
                 </.well-known/matrix/client>;rt=\"matrix.discovery\";ct=\"60 50\";szx=6,\
                 </.lowband/ready>;rt=\"lowband.ready\""
            );
            assert!(list.len() < 256, "{}: also on a narrow path", list.len());
        }
        let largest = BlockSize::MAX.szx().to_string();
        let told = LINKS.iter().flat_map(|link| link.attributes).filter(|(name, _)| *name == "szx");
        assert!(told.map(|(_, value)| *value).all(|value| value == largest));
    }

    #[test]
    fn filters_take_whole_words_or_their_beginnings_and_all_of_them_hold() {
        let [client, discovery, ready] = LINKS.map(|link| link.target);
        for (query, expected) in [
            (&["rt=matrix.client"][..], &[client][..]),
            (&["rt=matrix*"], &[client, discovery]),
            (&["rt=matrix"], &[]),
            (&["rt=*"], &[client, discovery, ready]),
            (&["if=matrix.msc3079"], &[client]),
            (&["if=*"], &[client]),
            (&["ct=50"], &[client, discovery]),
            (&["ct=5"], &[]),
            (&["href=/_matrix/client"], &[client]),
            (&["href=/_matrix*"], &[client]),
            (&["href=/.*"], &[discovery, ready]),
            (&["href=/*", "rt=lowband*"], &[ready]),
            (&["href=/_matrix*", "rt=lowband*"], &[]),
            (&["obs=*"], &[]),
            (&["rt"], &[client, discovery, ready]),
        ] {
            assert_eq!(targets(query), expected, "{query:?}");
        }
    }

    #[test]
    fn other_formats_and_methods_are_refused() {
        for format in [0, 50, 60] {
            let refusal = answer(Method::Get, &asked(&[], Some(format))).unwrap_err();
            assert_eq!(refusal.code, Code::NOT_ACCEPTABLE);
        }
        for method in [Method::Post, Method::Put, Method::Delete] {
            assert_eq!(answer(method, &asked(&[], None)).unwrap_err().code, Code::METHOD_NOT_ALLOWED);
        }
    }
}
