//! Drives rust_socketio. Its only argument is JSON: the url of the server, the way
//! to connect, the rooms to join at each connect. What it sees it prints as JSON
//! lines; the line "close" on its input ends it.

use rust_socketio::{ClientBuilder, Event, Payload, RawClient, TransportType};
use serde_json::{json, Value};
use std::io::{stdin, BufRead};

/// Prints one line for the test.
fn report(saw: &str, text: &str) {
    println!("{}", json!({"saw": saw, "text": text}));
}

fn main() {
    let argument = std::env::args().nth(1).expect("one argument");
    let task: Value = serde_json::from_str(&argument).expect("JSON");
    let rooms = task["rooms"].as_array().expect("rooms").clone();
    let transport = match task["way"].as_str() {
        Some("polling") => TransportType::Polling,
        Some("websocket") => TransportType::Websocket,
        Some("upgrade") => TransportType::WebsocketUpgrade,
        other => panic!("no way to connect: {other:?}"),
    };
    let client = ClientBuilder::new(task["url"].as_str().expect("url"))
        .transport_type(transport)
        .on(Event::Connect, move |_: Payload, socket: RawClient| {
            for room in &rooms {
                // As a list: a text alone would be taken for JSON if it can be.
                if let Err(e) = socket.emit("room", Payload::Text(vec![room.clone()])) {
                    report("error", &e.to_string());
                }
            }
            report("connect", "");
        })
        .on(Event::Close, |_: Payload, _: RawClient| report("disconnect", ""))
        .on(Event::Error, |e: Payload, _: RawClient| report("error", &format!("{e:?}")))
        .on("news", |payload: Payload, _: RawClient| match payload {
            Payload::Text(values) => report("event", &values[0].to_string()),
            other => report("error", &format!("{other:?}")),
        })
        .connect();
    let client = match client {
        Ok(client) => client,
        Err(e) => {
            report("error", &e.to_string());
            std::process::exit(1);
        }
    };
    let mut line = String::new();
    stdin().lock().read_line(&mut line).expect("a command");
    if let Err(e) = client.disconnect() {
        report("error", &e.to_string());
    }
    report("closed", "");
    // The test ends the input when it has seen what came of that.
    while stdin().lock().read_line(&mut line).unwrap_or(0) > 0 {}
    std::process::exit(0); // the thread of the client does not end by itself
}
