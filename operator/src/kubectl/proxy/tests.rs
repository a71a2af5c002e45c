use super::*;

#[test]
fn names_networks_and_ports_are_taken_as_kubectl_takes_them() {
    let direct = |list: &str, host: &str| is_direct(list, host, 6443);
    for (list, host) in [
        ("*", "api.example.com"),
        ("a, api.example.com ,", "API.example.com."),
        ("example.com", "api.example.com"),
        ("example.com:6443", "api.example.com"),
        (".example.com", "api.example.com"),
        ("*.example.com", "api.example.com"),
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.7:6443", "10.0.0.7"),
        ("10.0.0.0/8", "10.200.0.1"),
        ("0.0.0.0/0", "10.200.0.1"),
        ("::/0", "[fd00::1]"),
        ("fd00::/8", "[fd12::1]"),
        ("fd12::1", "[fd12::1]"),
        ("[fd12::1]:6443", "[fd12::1]"),
        ("", "localhost"),
        ("", "127.0.0.1"),
        ("", "[::1]"),
    ] {
        assert!(direct(list, host), "{list} leaves out {host}");
    }
    for (list, host) in [
        ("", "api.example.com"),
        ("example.org", "api.example.com"),
        ("ample.com", "api.example.com"),
        (".api.example.com", "api.example.com"),
        ("example.com:443", "api.example.com"),
        ("10.0.0.7:443", "10.0.0.7"),
        ("10.0.0.0/16", "10.1.0.1"),
        ("10.0.0.0/33", "10.0.0.1"),
        ("fd00::/8", "10.0.0.1"),
        ("0.7", "10.0.0.7"),
    ] {
        assert!(!direct(list, host), "{list} means {host}");
    }
}
