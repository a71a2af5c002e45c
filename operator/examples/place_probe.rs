//! Probe.
use blit_operator::mirrorjob::{dereference::dereference, placement::place, validate::{validate, Policy}};
use blit_operator::settings::Settings;
#[tokio::main]
async fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = kube::Client::try_default().await.unwrap();
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let mut job = blit_crds::parse_manifest(&text).unwrap();
    job.metadata.uid = Some("probe".into());
    let settings = Settings::parse(std::path::Path::new("x"), "image: x\nhostPath: {allow: [{prefix: /srv, access: ReadWrite}]}").unwrap();
    let t = std::time::Instant::now();
    let scoped = std::env::args().nth(2).is_none();
    let world = dereference(&client, &job, scoped).await.unwrap();
    println!("{:?} {:#?}", t.elapsed(), world);
    let v = validate(&job, &Policy::of(&settings, &job, &world)).unwrap();
    println!("{:#?}", place(&v, &world, false));
}
