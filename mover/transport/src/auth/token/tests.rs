use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blit_proto::v2::DataToken;

use super::{Direction, LIFETIME, Rejected, Ticket, TokenBook, UNSPENT};

const CERTIFICATE: &[u8] = b"certificate of the source";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn book() -> TokenBook {
    TokenBook::new("session", Direction::Push, CERTIFICATE).unwrap()
}

/// Presents a token at a time.
fn redeem(book: &TokenBook, token: &DataToken, at: SystemTime) -> Result<u32, Rejected> {
    let ticket = Ticket::new(token).unwrap();
    book.redeem(&ticket.frame, at)
        .map(|admitted| admitted.stream)
}

#[test]
fn a_token_opens_its_stream_and_proves_the_listener() {
    let book = book();
    let token = book.mint(7, now()).unwrap();
    let ticket = Ticket::new(&token).unwrap();
    let admitted = book.redeem(&ticket.frame, now()).unwrap();
    assert_eq!(admitted.stream, 7);
    assert!(ticket.accepts(&admitted.answer));
    let mut other = admitted.answer;
    other[20] ^= 1;
    assert!(!ticket.accepts(&other));
}

#[test]
fn a_replayed_token_is_refused() {
    let book = book();
    let token = book.mint(0, now()).unwrap();
    redeem(&book, &token, now()).unwrap();
    assert_eq!(redeem(&book, &token, now()), Err(Rejected::Spent));
}

#[test]
fn of_many_sockets_with_one_token_one_gets_in() {
    let book = book();
    let ticket = Ticket::new(&book.mint(0, now()).unwrap()).unwrap();
    let admitted = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| book.redeem(&ticket.frame, now()).is_ok()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|admitted| *admitted)
            .count()
    });
    assert_eq!(admitted, 1);
}

#[test]
fn a_token_expires_after_thirty_seconds() {
    let book = book();
    let token = book.mint(0, now()).unwrap();
    let late = now() + Duration::from_secs(30);
    assert_eq!(redeem(&book, &token, late), Err(Rejected::Expired));
    redeem(&book, &token, late - Duration::from_secs(1)).unwrap();
}

#[test]
fn an_altered_token_is_refused() {
    let book = book();
    let token = book.mint(0, now()).unwrap();
    let parts: Vec<&str> = token.token.split('.').collect();
    let payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    for (from, to) in [
        ("\"stream\":0", "\"stream\":1"),
        ("\"exp\":1800000030", "\"exp\":1900000000"),
    ] {
        assert!(payload.contains(from), "{payload}");
        let altered = URL_SAFE_NO_PAD.encode(payload.replace(from, to));
        let stream = u32::from(to.contains("stream"));
        let token = DataToken {
            stream,
            token: [parts[0], &altered, parts[2]].join("."),
            key: token.key.clone(),
        };
        assert_eq!(redeem(&book, &token, now()), Err(Rejected::Forged), "{to}");
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let book = book();
    let token = book.mint(0, now()).unwrap();
    let parts: Vec<&str> = token.token.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
    for text in [
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
    ] {
        let frame = super::first_frame::encode(
            &text,
            &token.key.clone().try_into().unwrap(),
            super::Subject {
                jti: "x",
                stream: 0,
                direction: Direction::Push,
            },
            &[0; 32],
        );
        assert_eq!(
            book.redeem(&frame.unwrap(), now()).unwrap_err(),
            Rejected::Forged
        );
    }
}

#[test]
fn a_token_of_another_session_is_refused() {
    let token = book().mint(0, now()).unwrap();
    assert_eq!(redeem(&book(), &token, now()), Err(Rejected::Forged));
}

/// A second book with the secret of the first, as if a key were shared.
fn sibling(book: &TokenBook, session: &str, certificate: &[u8]) -> TokenBook {
    let mut sibling = TokenBook::new(session, Direction::Push, certificate).unwrap();
    sibling.encoding = book.encoding.clone();
    sibling.decoding = book.decoding.clone();
    sibling
}

#[test]
fn session_and_certificate_count_even_if_the_key_were_the_same() {
    let book = book();
    for other in [
        sibling(&book, "another", CERTIFICATE),
        sibling(&book, "session", b"foreign"),
    ] {
        let token = other.mint(0, now()).unwrap();
        assert_eq!(redeem(&book, &token, now()), Err(Rejected::Foreign));
    }
    let unknown = sibling(&book, "session", CERTIFICATE)
        .mint(0, now())
        .unwrap();
    assert_eq!(
        redeem(&book, &unknown, now()),
        Err(Rejected::Spent),
        "never handed out here"
    );
}

#[derive(serde::Serialize)]
struct AnyDirection<'a> {
    jti: &'a str,
    exp: u64,
    sid: &'a str,
    stream: u32,
    direction: &'a str,
    #[serde(rename = "x5t#S256")]
    certificate: &'a str,
}

#[test]
fn a_token_for_the_other_direction_is_refused() {
    let book = book();
    let token = book.mint(0, now()).unwrap();
    let good = jsonwebtoken::dangerous::insecure_decode_claims::<super::Claims>(&token.token);
    let good = good.unwrap();
    let redeem = |direction| {
        let claims = AnyDirection {
            jti: &good.jti,
            exp: good.exp,
            sid: &good.sid,
            stream: good.stream,
            direction,
            certificate: &good.certificate,
        };
        let header = super::Header::new(super::Algorithm::HS256);
        let token = DataToken {
            token: jsonwebtoken::encode(&header, &claims, &book.encoding).unwrap(),
            ..token.clone()
        };
        let key = token.key.try_into().unwrap();
        let frame = super::first_frame::encode(&token.token, &key, good.subject(), &[0; 32]);
        book.redeem(&frame.unwrap(), now())
            .map(|admitted| admitted.stream)
    };
    assert_eq!(redeem("pull"), Err(Rejected::Foreign));
    assert_eq!(redeem("sideways"), Err(Rejected::Forged));
    assert_eq!(redeem("push"), Ok(0));
}

#[test]
fn a_token_without_its_key_opens_nothing_and_stays_good() {
    let book = book();
    let token = book.mint(0, now()).unwrap();
    let stolen = DataToken {
        key: vec![0; 32],
        ..token.clone()
    };
    assert_eq!(redeem(&book, &stolen, now()), Err(Rejected::NoProof));
    redeem(&book, &token, now()).unwrap();
}

#[test]
fn a_token_for_another_stream_than_announced_is_not_used() {
    let mut token = book().mint(0, now()).unwrap();
    token.stream = 1;
    assert!(Ticket::new(&token).is_err());
    assert!(Ticket::new(&DataToken::default()).is_err());
}

#[test]
fn tokens_that_are_not_spent_are_bounded() {
    let book = book();
    for stream in 0..UNSPENT as u32 {
        book.mint(stream, now()).unwrap();
    }
    book.mint(0, now()).unwrap_err();
    let later = now() + LIFETIME;
    book.mint(0, later).unwrap();
}

#[test]
fn expired_tokens_are_forgotten() {
    let book = book();
    for second in 0..100 {
        book.mint(0, now() + Duration::from_secs(second)).unwrap();
    }
    assert!(book.unspent.lock().unwrap().len() <= 31);
}
