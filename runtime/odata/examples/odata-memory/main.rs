//! Serves a small shop from memory over HTTP, read-only: `odata-memory --listen 127.0.0.1:8080`. It has what a service can
//! have: inheritance, complex types, flags, streams, a singleton, every primitive type. The model and its rows are in
//! `shop.json`, or in the file given with `--model`.

mod compress;
mod serve;
mod shop;

use std::error::Error;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut listen, mut model) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => listen = arguments.next(),
            "--model" => model = arguments.next(),
            other => {
                return Err(format!("unknown argument {other}: use --listen ADDRESS [--model FILE]").into());
            }
        }
    }
    let text = match model {
        Some(path) => std::fs::read_to_string(path)?,
        None => shop::SHOP.to_owned(),
    };
    let store = Arc::new(shop::load(&text)?);
    let listener = tokio::net::TcpListener::bind(listen.as_deref().unwrap_or("127.0.0.1:0")).await?;
    #[allow(clippy::print_stdout, reason = "whoever started it wants to know where it listens")]
    {
        println!("listening on http://{}/", listener.local_addr()?);
    }
    serve::serve(listener, store).await;
    Ok(())
}
