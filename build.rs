//! Puts the Socket.IO client's bundles, which npm has brought, where the server embeds them.
//!
//! The server builds without them too: it then says so where they would be served.

use std::{env, fs, io, path::Path};

/// Where npm puts the bundles that Node's server serves.
const BUNDLES: &str = "node_modules/socket.io-client/dist";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={BUNDLES}");
    println!("cargo:rerun-if-changed=static");
    let target = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("client");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    let Ok(bundles) = fs::read_dir(BUNDLES) else {
        println!("cargo:warning=without the Socket.IO client: run `npm ci --omit=dev` to bring it");
        return Ok(());
    };
    for bundle in bundles {
        let bundle = bundle?;
        let name = bundle.file_name();
        if name.to_string_lossy().starts_with("socket.io.") {
            fs::copy(bundle.path(), target.join(name))?;
        }
    }
    Ok(())
}
