//! A control plane that is served: its runtime, and its orderly end.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use blit_proto::pki::{Identity, PeerPattern, tls};
use blit_proto::v2::blit_server::Blit;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::service::Service;
use super::{Host, Judge, serve};
use crate::error::TransportError;

/// Threads for the control plane; it moves listings, not data.
const RUNTIME_THREADS: usize = 2;

/// How long calls that are open at the end may take to finish.
const GRACE: Duration = Duration::from_secs(2);

/// Serves a host until it is dropped; those who follow progress get the last state first.
pub(crate) struct ControlServer {
    address: SocketAddr,
    serving: Option<(oneshot::Sender<()>, JoinHandle<io::Result<()>>)>,
    runtime: Option<Runtime>,
}

impl ControlServer {
    /// Serves `host` to those of `accepted` that prove who they are.
    pub(crate) fn start<H: Host>(
        listener: TcpListener,
        identity: &Identity,
        accepted: Vec<PeerPattern>,
        host: H,
    ) -> Result<Self, TransportError> {
        let tls = tls::server_config(identity, accepted)?;
        // Who is there has been judged by TLS.
        Self::serve(listener, tls, Service(Arc::new(host)), Arc::new(Ok))
    }

    /// Serves any service to whoever gets through TLS, and the calls that `judge` lets pass.
    pub(crate) fn serve<B: Blit>(
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        service: B,
        judge: Judge,
    ) -> Result<Self, TransportError> {
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("blit-control")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(serve(listener, tls, service, judge, async {
            // Also when the sender is gone.
            let _ = stopped.await;
        }));
        Ok(Self {
            address,
            serving: Some((stop, serving)),
            runtime: Some(runtime),
        })
    }

    /// Returns the address, with the port that the kernel chose.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        if let Some((stop, serving)) = self.serving.take() {
            drop(stop);
            match runtime.block_on(async { tokio::time::timeout(GRACE, serving).await }) {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "the control server failed"),
                Ok(Err(error)) => tracing::error!(%error, "the control server panicked"),
                Err(_) => tracing::debug!("some calls were still open at the end"),
            }
        }
        runtime.shutdown_timeout(GRACE);
    }
}

/// Opens a port. A host whose kernel has no IPv6 takes "every address" for those of IPv4.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, TransportError> {
    let failed = |source| TransportError::Listen { address, source };
    match TcpListener::bind(address) {
        Err(error) if has_no_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).map_err(failed)
        }
        bound => bound.map_err(failed),
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    const UNSUPPORTED: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    const UNAVAILABLE: i32 = rustix::io::Errno::ADDRNOTAVAIL.raw_os_error();
    matches!(error.raw_os_error(), Some(UNSUPPORTED | UNAVAILABLE))
}
