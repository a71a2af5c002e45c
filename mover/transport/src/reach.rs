//! Dialling the side that listens: its control plane, for as long as patience lasts, and its data plane.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_proto::control::access::Access;
use blit_proto::control::{self, Connection, ControlError};
use blit_proto::v2::DataTransferNegotiation;
use blit_proto::version;
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::data::DataPlane;
use crate::data::tcp::TcpPlane;
use crate::error::TransportError;
use crate::wire::Violation;

/// How long the only attempt of somebody without patience may take: every step of it has a limit of its own.
const ONE_ATTEMPT: Duration = Duration::from_secs(20);

/// How long the side that listens may take to answer the header of a session.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// First pause between two attempts to reach the other side; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Who is dialled, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// `HOST:PORT` of the control plane.
    pub address: String,
    /// Who this side is, and who must answer.
    pub access: Access,
}

/// Tries to reach the other side for as long as patience lasts; without any, once.
pub(crate) async fn reach(target: &Target, patience: Duration) -> Result<Connection, ControlError> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    let mut last = None;
    loop {
        let left = match patience.is_zero() {
            true => ONE_ATTEMPT,
            false => deadline.saturating_duration_since(Instant::now()),
        };
        let connecting = control::connect_as(&target.address, &target.access);
        let error = match timeout(left, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            // What the attempt before met says more than that this one was cut off.
            Err(_) => last.unwrap_or_else(|| ControlError::Unreachable {
                address: target.address.clone(),
                reason: format!("no answer within {} s", left.max(patience).as_secs()),
            }),
        };
        let retry = matches!(error, ControlError::Unreachable { .. });
        if !retry || Instant::now() + pause >= deadline {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        last = Some(error);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Checks the first negotiation of a session, and returns the plane over TCP that it offers and where that is: with TLS
/// on its sockets where there is a configuration for it.
pub(crate) fn plane(
    first: &DataTransferNegotiation,
    control: SocketAddr,
    longest_wait: Duration,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(SocketAddr, Arc<dyn DataPlane>), TransportError> {
    let theirs = first.hello.clone().unwrap_or_default();
    let agreed = version::negotiate(&version::hello(), &theirs);
    let agreed = agreed.map_err(|mismatch| ControlError::Incompatible {
        reason: mismatch.to_string(),
    })?;
    let port = u16::try_from(first.data_port)
        .ok()
        .filter(|port| *port != 0);
    let port = port.ok_or_else(|| Violation::new("the data port is not a port"))?;
    if first.version != agreed || first.one_time_tokens.is_empty() {
        return Err(Violation::new("the negotiation is incomplete").into());
    }
    // With everything else that control's address has, such as the scope of a link-local one.
    let mut address = control;
    address.set_port(port);
    let plane = TcpPlane {
        address,
        longest_wait,
        tls,
    };
    Ok((address, Arc::new(plane)))
}
