// Emits with the crate socketio-rust-emitter: emit PORT SCRIPT, which is that of emit.js. It knows no
// arguments but texts.
use socketio_rust_emitter::{Emitter, EmitterOpts};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let script: Vec<(Vec<String>, Vec<String>, Vec<String>)> =
        serde_json::from_str(&args[2]).expect("a script with texts alone");
    for (rooms, _, said) in script {
        let mut io = Emitter::new(EmitterOpts {
            host: "127.0.0.1".to_string(),
            port: args[1].parse().expect("a port"),
            ..Default::default()
        });
        for room in &rooms {
            io = io.to(room);
        }
        io.emit(said.iter().map(String::as_str).collect());
    }
}
