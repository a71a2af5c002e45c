use std::net::SocketAddr;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{ControlError, connect};
use crate::pki::{Authority, PeerName, PeerPattern, Role, tls};

fn peer(role: Role) -> PeerName {
    PeerName::mover("job", 1, role).unwrap()
}

fn authority() -> Authority {
    Authority::new("test", SystemTime::now()).unwrap()
}

/// Accepts one TLS connection as the destination and then says nothing.
async fn listen(authority: &Authority) -> SocketAddr {
    let identity = authority.issue(&peer(Role::Destination)).unwrap();
    let accepted = vec![PeerPattern::Exactly(peer(Role::Source))];
    let acceptor = TlsAcceptor::from(tls::server_config(&identity, accepted).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(tcp).await;
        std::future::pending::<()>().await;
        drop(stream);
    });
    address
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_named_with_the_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let identity = authority().issue(&peer(Role::Source)).unwrap();
    let expected = PeerPattern::Exactly(peer(Role::Destination));
    let error = connect(&address, &identity, expected).await.unwrap_err();
    assert!(
        matches!(error, ControlError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&address) && error.to_string().contains("firewall"));
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_authenticated() {
    let address = listen(&authority()).await.to_string();
    let identity = authority().issue(&peer(Role::Source)).unwrap();
    let expected = PeerPattern::Exactly(peer(Role::Destination));
    let error = connect(&address, &identity, expected).await.unwrap_err();
    assert!(
        matches!(error, ControlError::NotAuthenticated { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_somebody_else_is_named() {
    let authority = authority();
    let address = listen(&authority).await.to_string();
    let identity = authority.issue(&peer(Role::Source)).unwrap();
    let other = PeerName::mover("job", 2, Role::Destination).unwrap();
    let error = connect(&address, &identity, PeerPattern::Exactly(other))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("blit://job/1/destination") && text.contains("blit://job/2/"),
        "{text}"
    );
}

#[tokio::test]
async fn a_client_that_the_server_refuses_learns_that_it_is_not_authenticated() {
    let authority = authority();
    let address = listen(&authority).await.to_string();
    let wrong = PeerName::mover("job", 7, Role::Source).unwrap();
    let identity = authority.issue(&wrong).unwrap();
    let expected = PeerPattern::Exactly(peer(Role::Destination));
    let error = match connect(&address, &identity, expected).await {
        Ok(connection) => connection.ping().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(
        matches!(error, ControlError::NotAuthenticated { .. }),
        "{error:?}"
    );
}
