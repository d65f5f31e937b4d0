use std::net::IpAddr;

use flota_platform::net::{AddressPolicy, ForbiddenAddress, redacted};

/// Addresses outside the public internet, in all their spellings.
const FORBIDDEN: &[&str] = &[
    // Loopback.
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/a.jpg",
    "https://127.0.0.1/",
    "http://127.255.255.254/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.1./",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0X7F.0x0.0x0.0x1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0177.0x0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://１２７.０.０.１/",
    "http://127。0。0。1/",
    "http://①②⑦.0.0.1/",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:\\\\127.0.0.1\\a",
    "  http://127.0.0.1/  ",
    "http://127.0.0\t.1/",
    "HTTP://127.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST:9000/",
    "http://localhost./",
    "http://localhost../",
    "http://photos.localhost/",
    "http://l%6fcalhost/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::0001]:80/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:7f00:0001]/",
    "http://[::127.0.0.1]/",
    // Unspecified, this network, broadcast.
    "http://0/",
    "http://0.0.0.0/",
    "http://0x0/",
    "http://0.1.2.3/",
    "http://[::]/",
    "http://[::ffff:0.0.0.0]/",
    "http://255.255.255.255/",
    "http://4294967295/",
    // Private.
    "http://10.0.0.1/",
    "http://10.1/",
    "http://167772161/",
    "http://012.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://3232235521/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:c0a8:1]/",
    // Link-local and metadata.
    "http://169.254.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://[fe80::1]/",
    "http://[febf::1]/",
    // Carrier-grade NAT, protocol assignments, documentation, benchmarking, reserved, multicast.
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://224.0.0.1/",
    "http://239.255.255.255/",
    "http://240.0.0.1/",
    "http://254.0.0.1/",
    // IPv6 outside the internet.
    "http://[fc00::1]/",
    "http://[fdff::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[3ffe::1]/",
    "http://[4000::1]/",
    "http://[5f00::1]/",
    "http://[2001:2::1]/",
    "http://[2001:10::1]/",
    "http://[2001:20::1]/",
    // Tunnels and translations.
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::8.8.8.8]/",
    "http://[64:ff9b:0:1::8.8.8.8]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a00:1::1]/",
    "http://[2002:808:808::1]/",
    "http://[2001::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2600::5efe:10.0.0.1]/",
    "http://[2600::200:5efe:127.0.0.1]/",
    "http://[::8.8.8.8]/",
];

/// What is no address of the web, or one that carries credentials.
const REFUSED: &[&str] = &[
    "",
    "photo.jpg",
    "//example.com/",
    "example.com:80",
    "127.0.0.1:80",
    "http://",
    "http://./",
    "http://256.256.256.256/",
    "http://1.2.3.4.5/",
    "http://0x100000000/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1",
    "http://::1/",
    "http://exa mple.com/",
    "http://example.com:99999/",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://:secret@example.com/",
    "http://1.1.1.1@127.0.0.1/",
    "http://example.com%40127.0.0.1/",
    "file:///etc/passwd",
    "ftp://example.com/a.jpg",
    "gopher://example.com/",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "ws://example.com/",
    "s3://bucket/key",
    "unix:/var/run/docker.sock",
    "jar:http://example.com!/",
];

const ALLOWED: &[&str] = &[
    "http://example.com/",
    "https://example.com:8443/a/b.jpg?size=1#top",
    "https://bücher.example/",
    "http://localhost.example.com/",
    "http://mylocalhost/",
    "http://8.8.8.8/",
    "http://134744072/",
    "http://1.1/",
    "http://9.255.255.255/",
    "http://11.0.0.1/",
    "http://100.63.255.255/",
    "http://100.128.0.1/",
    "http://126.255.255.255/",
    "http://128.0.0.1/",
    "http://169.253.255.255/",
    "http://172.15.255.255/",
    "http://172.32.0.1/",
    "http://192.169.0.1/",
    "http://198.17.255.255/",
    "http://198.20.0.1/",
    "http://223.255.255.255/",
    "http://[2606:4700:4700::1111]/",
    "http://[2a00:1450::1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[64:ff9b::8.8.8.8]/",
    "http://[2001:4860:4860::8888]/",
];

#[test]
fn what_is_not_the_public_internet_is_refused_in_every_spelling() {
    let policy = AddressPolicy::default();
    assert!(FORBIDDEN.len() >= 60, "the table has {} entries", FORBIDDEN.len());
    for address in FORBIDDEN {
        let checked = policy.check_url(address);
        assert!(
            matches!(checked, Err(ForbiddenAddress::Special { .. })),
            "{address:?} came to {checked:?}"
        );
    }
}

#[test]
fn what_is_no_plain_address_of_the_web_is_refused() {
    let everything = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
    let policy = AddressPolicy::new(everything.to_vec());
    for address in REFUSED {
        let checked = policy.check_url(address);
        assert!(checked.is_err(), "{address:?} came to {checked:?}");
    }
}

#[test]
fn the_public_internet_is_allowed() {
    let policy = AddressPolicy::default();
    for address in ALLOWED {
        let checked = policy.check_url(address);
        assert!(checked.is_ok(), "{address:?} came to {checked:?}");
    }
}

#[test]
fn an_allowed_network_opens_itself_and_nothing_else() {
    let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    for address in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost:8080/",
    ] {
        assert!(policy.check_url(address).is_ok(), "{address} was refused");
    }
    for address in
        ["http://[::1]/", "http://10.0.0.1/", "http://[64:ff9b::7f00:1]/", "http://[::127.0.0.1]/"]
    {
        assert!(policy.check_url(address).is_err(), "{address} was allowed");
    }
}

#[test]
fn one_forbidden_answer_forbids_the_name() {
    let policy = AddressPolicy::default();
    let check = |answers: &[&str]| {
        let answers = answers.iter().map(|answer| answer.parse::<IpAddr>().unwrap());
        policy.check_all("example.com", answers.collect::<Vec<_>>())
    };
    assert!(check(&["8.8.8.8", "2606:4700::1"]).is_ok());
    for forbidden in ["10.0.0.1", "::ffff:10.0.0.1", "::1", "fe80::1", "64:ff9b::a00:1"] {
        assert!(check(&["8.8.8.8", forbidden]).is_err(), "{forbidden} was allowed last");
        assert!(check(&[forbidden, "8.8.8.8"]).is_err(), "{forbidden} was allowed first");
    }
}

#[test]
fn what_the_client_reads_does_not_tell_the_address_of_a_name() {
    let refused = AddressPolicy::default().check_ip("photos.example", "10.1.2.3".parse().unwrap());
    let sentence = refused.unwrap_err().to_string();
    assert!(sentence.contains("photos.example") && !sentence.contains("10.1.2.3"), "{sentence}");
}

#[test]
fn the_log_sees_neither_user_nor_query_nor_fragment() {
    let address = "https://me:pw@bucket.example:444/photos/a.jpg?X-Signature=abc&key=1#frag";
    let url = address.parse().unwrap();
    assert_eq!(redacted(&url), "https://bucket.example:444/photos/a.jpg");
}
