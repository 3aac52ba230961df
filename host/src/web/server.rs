//! The page on 127.0.0.1.
//!
//! There is one document. Requests with another host's name are refused: a page elsewhere could have its name point
//! at this machine (DNS rebinding).

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, anyhow};
use tiny_http::{Header, Method, Request, Response, Server};

/// A server with its page.
pub struct PageServer {
    server: Server,
    address: SocketAddr,
    page: String,
}

/// What is sent with everything.
///
/// The last two give the page a finer clock, as nothing of another origin can be in it.
const HEADERS: [(&str, &str); 7] = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "frame-ancestors 'none'"),
    ("Permissions-Policy", "camera=(self), microphone=(), geolocation=()"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
];

impl PageServer {
    /// Opens a port.
    ///
    /// * `port`: 0 for a free one.
    ///
    /// # Errors
    /// Where the port is taken or not allowed.
    pub fn open(port: u16, page: String) -> anyhow::Result<Self> {
        let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Server::http(asked)
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("{asked} cannot be opened; `--port 0` takes a free one"))?;
        let address = server.server_addr().to_ip().context("the server has no address")?;
        Ok(Self { server, address, page })
    }

    /// Returns where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers requests until [`PageServer::stop`] is called.
    pub fn run(&self) {
        // Ends with the first error: what `unblock` makes of a wait.
        for request in self.server.incoming_requests() {
            let response = self.answer(&request);
            // Whoever asked may be gone.
            let _ = request.respond(response);
        }
    }

    /// Ends [`PageServer::run`]; from any thread.
    pub fn stop(&self) {
        self.server.unblock();
    }

    fn answer(&self, request: &Request) -> Response<std::io::Cursor<Vec<u8>>> {
        let host = request.headers().iter().find(|header| header.field.equiv("Host"));
        let host = host.map(|header| header.value.as_str());
        let (status, kind, text) = match (request.method(), request.url()) {
            _ if !self.is_own_name(host) => {
                (403, "text/plain", "This server answers to 127.0.0.1 and localhost only.\n")
            }
            (Method::Get | Method::Head, "/" | "/index.html") => (200, "text/html", self.page.as_str()),
            (Method::Get | Method::Head, _) => (404, "text/plain", "There is one page here: /\n"),
            _ => (405, "text/plain", "Only GET is answered.\n"),
        };
        let mut response = Response::from_string(text).with_status_code(status);
        let kind = format!("{kind}; charset=utf-8");
        for (name, value) in HEADERS.into_iter().chain([("Content-Type", kind.as_str())]) {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        response
    }

    /// Whether a Host header names this server.
    fn is_own_name(&self, host: Option<&str>) -> bool {
        let Some((name, port)) = host.and_then(|host| host.rsplit_once(':')) else { return false };
        port == self.address.port().to_string()
            && (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// Sends a request as it is written and returns the answer.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn one_page_is_served_to_its_own_names_and_nothing_else() {
        let server = PageServer::open(0, "<p>the page</p>".into()).unwrap();
        let (address, port) = (server.address, server.address.port());
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        std::thread::scope(|scope| {
            scope.spawn(|| server.run());
            let get = |path: &str, host: &str| {
                ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            };
            for host in
                [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("LocalHost:{port}")]
            {
                let page = get("/", &host);
                assert!(page.starts_with("HTTP/1.1 200") && page.contains("the page"), "{host}: {page}");
                assert!(page.contains("nosniff") && page.contains("text/html; charset=utf-8"), "{page}");
            }
            for host in
                ["evil.example", "127.0.0.1", "127.0.0.1:1", "", &format!("127.0.0.1.evil.example:{port}")]
            {
                let refused = get("/", host);
                assert!(!refused.contains("the page"), "{host}: {refused}");
            }
            let own = format!("127.0.0.1:{port}");
            for path in [
                "/../Cargo.toml",
                "/%2e%2e/Cargo.toml",
                "//etc/passwd",
                "/index.html/..",
                "/Cargo.toml",
                "/?x",
            ] {
                assert!(get(path, &own).starts_with("HTTP/1.1 404"), "{path}");
            }
            let posted = ask(
                address,
                &format!("POST / HTTP/1.1\r\nHost: {own}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            );
            assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
            server.stop();
        });
    }

    #[test]
    fn a_taken_port_is_told_with_the_remedy() {
        let first = PageServer::open(0, String::new()).unwrap();
        let error = PageServer::open(first.address.port(), String::new()).err().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains(&first.address.port().to_string()) && text.contains("--port 0"), "{text}");
    }
}
