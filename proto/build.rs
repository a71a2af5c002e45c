//! Generates the code of the protocol. protox parses the file in Rust, so no machine needs protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=blit.proto");
    let descriptors = protox::compile(["blit.proto"], ["."])?;
    tonic_prost_build::configure()
        .bytes(".blit.v2.DataTransferNegotiation.files_to_upload")
        .bytes(".blit.v2.DataBytes.bytes")
        .compile_fds(descriptors)?;
    Ok(())
}
