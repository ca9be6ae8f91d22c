//! Which side sees which error, and in which form.

use crate::host::{Fate, Message, REQUEST, RESPONSE, pass};
use crate::messages::*;
use lowband_codec::{cbor_to_json, json_to_cbor};
use lowband_translation::config::Config;
use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::Direction;
use lowband_translation::step::Then;

#[test]
fn a_cbor_body_cut_at_any_byte_is_refused_with_the_offset_and_nothing_is_sent() {
    let cbor = json_to_cbor(EVENT.as_bytes()).unwrap();
    for cut in 1..cbor.len() {
        let reply = pass(
            &mut Exchange::new(Config::default()),
            &REQUEST,
            &post(&[("content-type", CBOR)], &cbor[..cut]),
        )
        .replied();
        assert_eq!(errcode(&reply), (400, "M_NOT_JSON".to_owned()));
        let text = String::from_utf8(cbor_to_json(&reply.body).unwrap()).unwrap();
        assert!(text.contains("byte "), "{text}");
    }
}

#[test]
fn errors_are_written_in_the_form_that_the_client_reads() {
    for (accept, form) in
        [(None, CBOR), (Some(CBOR), CBOR), (Some(JSON), JSON), (Some("*/*"), CBOR), (Some("text/html"), JSON)]
    {
        let mut request = post(&[("content-type", CBOR)], b"\xff");
        request.fields.extend(accept.map(|accept| (b"accept".to_vec(), accept.into())));
        let reply = pass(&mut Exchange::new(Config::default()), &REQUEST, &request).replied();
        assert_eq!(
            reply.headers,
            [("content-type", form), ("vary", "Accept"), ("access-control-allow-origin", "*")]
        );
        assert_eq!(errcode(&reply).0, 400);
    }
}

#[test]
fn the_filters_own_reply_is_not_translated_when_it_comes_by() {
    for accept in [CBOR, JSON] {
        let mut exchange = Exchange::new(Config::default());
        let reply =
            pass(&mut exchange, &REQUEST, &post(&[("content-type", CBOR), ("accept", accept)], b"\xff"))
                .replied();
        let answer = ok(&reply.headers, &reply.body);
        assert_eq!(pass(&mut exchange, &RESPONSE, &answer), Fate::Sent(answer.fields, reply.body));
        // No more of the request goes on either.
        assert_eq!(exchange.request_body(1, true).then, Then::Hold);
        assert_eq!(exchange.request_trailers().then, Then::Hold);
    }
}

#[test]
fn a_reply_of_the_hosts_own_is_translated_once_if_it_is_json_and_passes_otherwise() {
    // The answer comes before the request's headers were seen, and while its body was held.
    let text = ok(&[("content-type", "text/plain")], b"too large");
    let mut exchange = Exchange::new(Config::default());
    assert_eq!(pass(&mut exchange, &RESPONSE, &text), Fate::Sent(text.fields.clone(), b"too large".to_vec()));
    let mut exchange = Exchange::new(Config::default());
    let request = post(&[("content-type", CBOR)], b"");
    assert_eq!(exchange.request_headers(&headers(&request), false).then, Then::Hold);
    assert_eq!(pass(&mut exchange, &RESPONSE, &text), Fate::Sent(text.fields, b"too large".to_vec()));
    assert_eq!(through(&get(&[("accept", CBOR)]), &json(b"{}")).1.sent().1, b"\xa0");
}

#[test]
fn an_answer_that_is_no_json_is_the_homeservers_fault() {
    for body in [&b"{"[..], b"<html>", b"{}{}", b"\xff", b"{\"a\":\"\xff\"}", b" "] {
        let reply = through(&get(&[("accept", CBOR)]), &json(body)).1.replied();
        assert_eq!(errcode(&reply), (502, "M_UNKNOWN".to_owned()), "{body:?}");
        assert_eq!(reply.headers[0].1, CBOR);
    }
}

#[test]
fn an_error_that_is_no_json_keeps_its_status_and_its_time_under_another_label() {
    for status in ["401", "404", "413", "429", "500", "503"] {
        for body in [&b"<html>slow down"[..], b"not found", b"{\"a\":"] {
            let mut answer = json(body);
            answer.fields[0].1 = status.into();
            answer.fields.push((b"retry-after".to_vec(), b"9".to_vec()));
            let (fields, passed) = through(&get(&[("accept", CBOR)]), &answer).1.sent();
            assert_eq!(value(&fields, "content-type").as_deref(), Some("text/plain"), "{status}");
            let told = (value(&fields, ":status"), value(&fields, "retry-after"));
            assert_eq!(told, (Some(status.to_owned()), Some("9".to_owned())));
            assert_eq!(passed, body);
        }
    }
}

#[test]
fn a_list_of_codings_that_change_nothing_is_none() {
    for coding in ["", " ", "identity", "identity, identity", "Identity ,, identity"] {
        let answer = ok(&[("content-type", JSON), ("content-encoding", coding)], b"{}");
        assert_eq!(through(&get(&[("accept", CBOR)]), &answer).1.sent().1, b"\xa0", "{coding:?}");
        let request = post(&[("content-type", CBOR), ("content-encoding", coding)], b"\xa0");
        assert_eq!(through(&request, &json(b"{}")).0.sent().1, b"{}", "{coding:?}");
    }
    for coding in ["identity, gzip", "br", "gzip,"] {
        let answer = ok(&[("content-type", JSON), ("content-encoding", coding)], b"{}");
        assert_eq!(through(&get(&[("accept", CBOR)]), &answer).1.sent().1, b"{}", "{coding:?}");
    }
}

#[test]
fn an_answer_that_is_odd_but_json_is_repaired() {
    for body in [&br#"{"a":1,"a":2}"#[..], br#"["\ud800"]"#, b"[1e400]", b"[99999999999999999999999]"] {
        through(&get(&[("accept", CBOR)]), &json(body)).1.sent();
    }
}

#[test]
fn compressed_cbor_is_refused_when_its_end_has_come() {
    let compressed = |pairs: &[(&str, &str)]| {
        post(&[&[("content-type", CBOR), ("content-encoding", "gzip")], pairs].concat(), b"\x1f\x8b")
    };
    for request in [
        compressed(&[("content-length", "2")]),
        compressed(&[]),
        Message { late_end: true, ..compressed(&[]) },
        Message { trailers: true, ..compressed(&[]) },
        Message { pieces: Vec::new(), ..compressed(&[]) },
    ] {
        let reply = pass(&mut Exchange::new(Config::default()), &REQUEST, &request).replied();
        assert_eq!(errcode(&reply), (415, "M_UNKNOWN".to_owned()));
    }
    // The refusal does not come one byte early, except for a body announced as longer than any that waits.
    let config = Config { max_request_bytes: 100, ..Config::default() };
    let mut exchange = Exchange::new(config.clone());
    assert_eq!(
        exchange.request_headers(&headers(&compressed(&[("content-length", "100")])), false).then,
        Then::Hold
    );
    assert_eq!(exchange.request_body(100, false).then, Then::Hold);
    assert!(matches!(exchange.request_body(101, false).then, Then::Reply(_)));
    let mut exchange = Exchange::new(config);
    let step = exchange.request_headers(&headers(&compressed(&[("content-length", "101")])), false);
    assert!(matches!(step.then, Then::Reply(_)));
}

#[test]
fn when_the_host_refuses_a_call_the_client_hears_of_it_in_its_own_form() {
    let mut exchange = Exchange::new(Config::default());
    pass(&mut exchange, &REQUEST, &get(&[("accept", CBOR)]));
    assert_eq!(exchange.response_headers(&headers(&json(b"")), false).then, Then::Hold);
    let Then::Reply(reply) = exchange.host_refused(Direction::Response).then else { panic!("no reply") };
    assert_eq!((errcode(&reply), reply.headers[0].1), ((500, "M_UNKNOWN".to_owned()), CBOR));
    // Later parts of the answer do not wait.
    assert_eq!(exchange.response_body(2, true).then, Then::Forward);
}
