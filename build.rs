//! Puts the files that the server serves where it embeds them, each also compressed: the page's,
//! and the Socket.IO client's bundles, which npm has brought.
//!
//! The server builds without the bundles too: it then says so where they would be served.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

const PAGES: &str = "static";

/// Where npm puts the bundles that Node's server serves.
const BUNDLES: &str = "node_modules/socket.io-client/dist";

fn main() -> Result<(), Box<dyn Error>> {
    for source in ["build.rs", PAGES, BUNDLES] {
        println!("cargo:rerun-if-changed={source}");
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let (files, compressed) = (folder.join("files"), folder.join("gzip"));
    for target in [&files, &compressed] {
        if target.exists() {
            fs::remove_dir_all(target)?;
        }
        fs::create_dir_all(target.join("socket.io"))?;
    }
    let mut embedded = named(PAGES, "")?;
    if Path::new(BUNDLES).exists() {
        let bundles = named(BUNDLES, "socket.io.")?;
        embedded.extend(
            bundles
                .into_iter()
                .map(|(name, file)| (format!("socket.io/{name}"), file)),
        );
    } else {
        println!("cargo:warning=without the Socket.IO client: run `npm ci --omit=dev` to bring it");
    }
    for (name, file) in embedded {
        let bytes = fs::read(file)?;
        compress(&bytes, &compressed.join(&name))?;
        fs::write(files.join(&name), bytes)?;
    }
    Ok(())
}

/// The folder's files whose names begin so.
fn named(folder: &str, prefix: &str) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut files = vec![];
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file
            .file_name()
            .into_string()
            .map_err(|name| format!("{name:?} is no UTF-8"))?;
        if name.starts_with(prefix) {
            files.push((name, file.path()));
        }
    }
    Ok(files)
}

/// Writes a file compressed, if that makes it smaller.
fn compress(bytes: &[u8], target: &Path) -> Result<(), Box<dyn Error>> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes)?;
    let compressed = encoder.finish()?;
    if compressed.len() < bytes.len() {
        fs::write(target, compressed)?;
    }
    Ok(())
}
