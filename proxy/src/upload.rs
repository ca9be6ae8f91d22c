//! The body of a request: held whole where it becomes CBOR.

use crate::account::Account;
use crate::answer::MatrixError;
use crate::body::Body;
use crate::places::{Place, Places};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as _;
use http_body_util::BodyExt;
use lowband_codec::{EncodeOptions, Encoder, ErrorKind, KeyTable};

/// A body as it came and, if it has one, its form in CBOR.
pub(crate) struct Upload {
    pub(crate) json: Bytes,
    pub(crate) cbor: Option<Bytes>,
    _place: Place,
}

/// What becomes of a body.
pub(crate) enum Held {
    Whole(Upload),
    /// It is known to be too long for translation, and nothing of it has been read.
    TooLong(Body),
    Refused(MatrixError),
}

/// Holds a body. `most`: see [`crate::Limits::request_body`].
pub(crate) async fn hold(mut body: Body, account: &Account, held: &Places, most: usize) -> Held {
    let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if least > most {
        return Held::TooLong(body);
    }
    let no_room = || Held::Refused(MatrixError::no_room("the bodies of so many requests"));
    let Some(mut place) = held.take(account, least) else { return no_room() };
    let mut json = BytesMut::with_capacity(least);
    let mut counted = least;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let error = "the body of the request has broken off";
            return Held::Refused(MatrixError::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", error));
        };
        let Ok(piece) = frame.into_data() else { continue };
        let length = json.len() + piece.len();
        if length > most {
            let error = format!("the body is larger than {most} bytes");
            return Held::Refused(MatrixError::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", error));
        }
        if length > counted {
            if !place.grow(length - counted) {
                return no_room();
            }
            counted = length;
        }
        json.extend_from_slice(&piece);
    }
    match to_cbor(&json) {
        Ok(cbor) => Held::Whole(Upload { json: json.freeze(), cbor, _place: place }),
        Err(error) => Held::Refused(error),
    }
}

/// Returns the CBOR of a JSON text; `None` if it is JSON that CBOR cannot say, which has to go as it is. What
/// is not JSON is refused as a homeserver would refuse it.
fn to_cbor(json: &[u8]) -> Result<Option<Bytes>, MatrixError> {
    if json.is_empty() {
        return Ok(Some(Bytes::new()));
    }
    let mut cbor = Vec::with_capacity(json.len());
    let options = EncodeOptions { keys: Some(KeyTable::v1()), ..EncodeOptions::default() };
    match Encoder::new(options).encode(json, &mut cbor) {
        Ok(_) => Ok(Some(cbor.into())),
        Err(error) => match error.kind {
            ErrorKind::LoneSurrogate
            | ErrorKind::BigInteger
            | ErrorKind::HugeNumber
            | ErrorKind::RepeatedKey
            | ErrorKind::TooDeep
            | ErrorKind::NumberTooLong
            | ErrorKind::InputTooLarge
            | ErrorKind::OutputTooLarge => Ok(None),
            _ => {
                let error = format!("Content not JSON: {error}");
                Err(MatrixError::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", error))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    async fn held(json: &'static str, places: &Places, most: usize) -> Held {
        hold(body::whole(json), &Account::nobody(), places, most).await
    }

    #[tokio::test]
    async fn json_becomes_cbor_where_cbor_can_say_it() {
        let places = Places::new(100, 100);
        let Held::Whole(upload) = held(r#"{"body":"a"}"#, &places, 50).await else { panic!("not held") };
        assert_eq!(upload.cbor.unwrap(), lowband_codec::json_to_cbor(&upload.json).unwrap());
        for odd in [r#"{"a":1,"a":2}"#, r#""\ud800""#, "1e400", "18446744073709551616"] {
            let Held::Whole(upload) = held(odd, &places, 50).await else { panic!("{odd}") };
            assert!(upload.cbor.is_none(), "{odd} goes as it is");
            assert_eq!(upload.json, odd);
        }
        let Held::Whole(upload) = held("", &places, 50).await else { panic!("not held") };
        assert!(upload.cbor.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_json_or_too_long_is_refused_in_the_words_of_matrix() {
        let places = Places::new(100, 10);
        for (json, most, expected) in [
            ("{", 50, (StatusCode::BAD_REQUEST, "M_NOT_JSON")),
            ("NaN", 50, (StatusCode::BAD_REQUEST, "M_NOT_JSON")),
            ("[1,2,3,4,5,6]", 50, (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED")),
        ] {
            match held(json, &places, most).await {
                Held::Refused(error) => assert_eq!((error.status, error.errcode), expected, "{json}"),
                _ => panic!("{json} is held"),
            }
        }
        assert!(matches!(held("[1,2]", &places, 4).await, Held::TooLong(_)));
    }
}
