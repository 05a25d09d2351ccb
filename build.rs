//! Collects the files to embed in the server, plain and compressed: the page's, and the bundles of
//! the Socket.IO client, installed by npm.
//!
//! The server builds without the bundles, too; requests for them then get an answer saying so.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

const PAGES: &str = "static";

/// The bundles as npm installs them, the same as Node's server has.
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

/// Lists a folder's files with a prefix, by name.
fn named(folder: &str, prefix: &str) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    let mut files = vec![];
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file
            .file_name()
            .into_string()
            .map_err(|name| format!("{name:?} is not UTF-8"))?;
        if name.starts_with(prefix) {
            files.push((name, file.path()));
        }
    }
    Ok(files)
}

/// Writes a compressed copy of a file, if it is smaller.
fn compress(bytes: &[u8], target: &Path) -> Result<(), Box<dyn Error>> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes)?;
    let compressed = encoder.finish()?;
    if compressed.len() < bytes.len() {
        fs::write(target, compressed)?;
    }
    Ok(())
}
