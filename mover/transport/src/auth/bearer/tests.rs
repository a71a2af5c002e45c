use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn grant(scopes: &str, prefix: &[u8]) -> Grant {
    Grant {
        scopes: scopes.parse().unwrap(),
        prefix: RelPath::new(prefix).unwrap(),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn issue(key: &TokenKey, grant: &Grant) -> Token {
    key.issue(grant, HOUR, Pin([7; 32]), now()).unwrap()
}

#[test]
fn a_token_allows_what_it_was_issued_for_until_it_expires() {
    let key = TokenKey::random().unwrap();
    let grant = grant("read,delete", b"/a b/\xff");
    let token = issue(&key, &grant);
    assert_eq!(key.check(&token.0, now()).unwrap().1, grant);
    let last = now() + HOUR - Duration::from_secs(1);
    assert!(key.check(&token.0, last).is_ok());
    assert_eq!(key.check(&token.0, now() + HOUR), Err(Worthless::Expired));
    assert_eq!(pin_of(&token).unwrap(), Pin([7; 32]));
}

#[test]
fn a_token_of_another_key_or_algorithm_is_foreign() {
    let (ours, theirs) = (TokenKey::random().unwrap(), TokenKey::random().unwrap());
    let token = issue(&theirs, &grant("read", b""));
    assert_eq!(ours.check(&token.0, now()), Err(Worthless::Foreign));
    // Without a signature, and saying so.
    let token = issue(&ours, &grant("read", b"")).0;
    let claims = token.split('.').nth(1).unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let unsigned = format!("{none}.{claims}.");
    assert_eq!(ours.check(&unsigned, now()), Err(Worthless::Foreign));
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(&token).unwrap();
        let key = EncodingKey::from_secret(ours.as_bytes());
        let other = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap();
        assert_eq!(ours.check(&other, now()), Err(Worthless::Foreign));
    }
}

#[test]
fn a_token_with_something_unknown_in_it_is_worth_nothing() {
    let key = TokenKey::random().unwrap();
    let token = issue(&key, &grant("read", b""));
    let mut claims: serde_json::Value =
        jsonwebtoken::dangerous::insecure_decode_claims(&token.0).unwrap();
    let signed = |claims: &serde_json::Value| {
        let key = EncodingKey::from_secret(key.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
    };
    assert!(key.check(&signed(&claims), now()).is_ok());
    claims["only"] = "on Sundays".into();
    assert_eq!(key.check(&signed(&claims), now()), Err(Worthless::Foreign));
    claims.as_object_mut().unwrap().remove("only");
    for (name, value) in [("aud", "other"), ("scope", "read admin"), ("prefix", "Li4")] {
        let mut claims = claims.clone();
        claims[name] = value.into();
        assert_eq!(
            key.check(&signed(&claims), now()),
            Err(Worthless::Foreign),
            "{name}"
        );
    }
}

#[test]
fn the_name_in_a_certificate_allows_the_same() {
    for held in [grant("read", b""), grant("read,write,delete", b"/x/\xfe y")] {
        let PeerName::Client { scopes, prefix, .. } = client_name("me", &held).unwrap() else {
            panic!("no client")
        };
        assert_eq!(grant_of(&scopes, &prefix), Some(held));
    }
    assert_eq!(grant_of("read.admin", "-"), None);
}

proptest! {
    #[test]
    fn an_altered_token_is_foreign(at in 0usize..400, to in 0u8..64) {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let key = TokenKey::from_bytes(&[1; 32]).unwrap();
        let token = issue(&key, &grant("read,write", b"/data"));
        let mut altered = token.0.clone().into_bytes();
        let at = at % altered.len();
        altered[at] = ALPHABET[usize::from(to)];
        let altered = String::from_utf8(altered).unwrap();
        // The last character of a signature holds bits that mean nothing.
        prop_assume!(altered != token.0 && at != token.0.len() - 1);
        prop_assert_eq!(key.check(&altered, now()), Err(Worthless::Foreign));
    }

    #[test]
    fn random_text_is_no_token(text in ".{0,200}") {
        let key = TokenKey::from_bytes(&[1; 32]).unwrap();
        prop_assert_eq!(key.check(&text, now()), Err(Worthless::Foreign));
        prop_assert_eq!(pin_of(&Token(text)), Err(NoToken));
    }
}
