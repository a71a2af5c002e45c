use std::time::{Duration, SystemTime};

use blit_proto::pki::{Authority, Identity, PeerName, PeerPattern, Role, tls};
use rustls::{ClientConnection, ServerConnection};
use serde_json::Value;

use super::{OperatorIdentity, SECRET_NAME, load};
use crate::fake_api::{FakeApi, Trouble};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn path() -> String {
    format!("/api/v1/namespaces/blit/secrets/{SECRET_NAME}")
}

async fn load_at(api: &FakeApi, now: SystemTime) -> OperatorIdentity {
    load(&api.client(), "blit", now).await.unwrap()
}

/// Lets the operator dial a mover of an attempt that trusts `operator_ca`.
fn dial(operator: &OperatorIdentity, operator_ca: &str) -> Result<(), rustls::Error> {
    let attempt = Authority::new("test", SystemTime::now()).unwrap();
    let mover = PeerName::mover("job", 1, Role::Destination).unwrap();
    let server: Identity = attempt.issue(&mover).unwrap();
    let server = server.with_operator_ca(operator_ca.to_owned());
    let accepted = vec![PeerPattern::AnyOperator];
    let mut server = ServerConnection::new(tls::server_config(&server, accepted).unwrap()).unwrap();
    let client = operator.towards(attempt.certificate_pem());
    let config = tls::client_config(&client, PeerPattern::Exactly(mover)).unwrap();
    let mut client = ClientConnection::new(config, "blit.invalid".try_into().unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[tokio::test]
async fn the_identity_is_made_once_and_shared_by_all_replicas() {
    let api = FakeApi::start().await;
    let now = SystemTime::now();
    let (one, two) = tokio::join!(load_at(&api, now), load_at(&api, now));
    assert_eq!(one, two);
    assert_eq!(one, load_at(&api, now).await);
    let secret = api.get(&path());
    for file in ["ca.crt", "ca.key", "tls.crt", "tls.key"] {
        assert!(secret["data"][file].is_string(), "{file}");
    }
    let reads = api.requests();
    assert!(
        reads.iter().all(|request| request.contains("/secrets")),
        "{reads:?}"
    );
}

#[tokio::test]
async fn movers_that_trust_the_authority_let_the_operator_in_and_others_do_not() {
    let (api, other) = (FakeApi::start().await, FakeApi::start().await);
    let operator = load_at(&api, SystemTime::now()).await;
    dial(&operator, &operator.ca_pem).unwrap();
    let stranger = load_at(&other, SystemTime::now()).await;
    assert!(dial(&operator, &stranger.ca_pem).is_err());
}

#[tokio::test]
async fn the_certificate_is_renewed_when_a_third_is_left_and_the_authority_stays() {
    let api = FakeApi::start().await;
    let begin = SystemTime::now() - 21 * DAY;
    let first = load_at(&api, begin).await;
    assert_eq!(load_at(&api, begin + 19 * DAY).await, first);
    assert!(first.renew_at > begin + 19 * DAY && first.renew_at < begin + 21 * DAY);
    let second = load_at(&api, first.renew_at).await;
    assert_eq!(second.ca_pem, first.ca_pem);
    assert_ne!(second.identity, first.identity);
    // A mover that was started before the renewal.
    dial(&second, &first.ca_pem).unwrap();
}

#[tokio::test]
async fn an_authority_that_expires_or_a_broken_secret_is_replaced() {
    let api = FakeApi::start().await;
    let now = SystemTime::now();
    let first = load_at(&api, now).await;
    let late = load_at(&api, now + 3640 * DAY).await;
    assert_ne!(late.ca_pem, first.ca_pem);
    let good: Value = api.get(&path());
    let foreign = {
        let other = FakeApi::start().await;
        load_at(&other, now).await;
        other.get(&path())
    };
    let mut broken = good.clone();
    broken["data"]["ca.key"] = foreign["data"]["ca.key"].clone();
    api.put(&path(), broken);
    let replaced = load_at(&api, now).await;
    dial(&replaced, &replaced.ca_pem).unwrap();
    // A client certificate of another authority: only that is made anew.
    let mut mixed = api.get(&path());
    for file in ["tls.crt", "tls.key"] {
        mixed["data"][file] = foreign["data"][file].clone();
    }
    api.put(&path(), mixed);
    let repaired = load_at(&api, now).await;
    assert_eq!(repaired.ca_pem, replaced.ca_pem);
    dial(&repaired, &repaired.ca_pem).unwrap();
}

#[tokio::test]
async fn an_api_server_that_refuses_is_an_error_with_the_permission_that_is_needed() {
    let api = FakeApi::start().await;
    api.set_trouble(Trouble::Error);
    let error = load(&api.client(), "blit", SystemTime::now())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("blit/blit-operator-ca") && text.contains("update"),
        "{text}"
    );
}
