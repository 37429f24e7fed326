use super::super::testing::{Fields, read};
use super::*;

use Order::{Big, Little};

fn section(order: Order) -> Vec<u8> {
    Fields::new(order).u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX).block(kind::SECTION_HEADER)
}

fn interface(order: Order, link: LinkType, snap_length: u32) -> Fields {
    Fields::new(order).u16(link.0 as u16).u16(0).u32(snap_length)
}

fn ethernet(order: Order) -> Vec<u8> {
    interface(order, LinkType::ETHERNET, 0).block(kind::INTERFACE)
}

fn enhanced(order: Order, interface: u32, ticks: u64, data: &[u8]) -> Fields {
    let len = data.len() as u32;
    let fields = Fields::new(order).u32(interface).u32((ticks >> 32) as u32).u32(ticks as u32);
    fields.u32(len).u32(len).raw(data).pad()
}

fn packet(order: Order, interface: u32, ticks: u64, data: &[u8]) -> Vec<u8> {
    enhanced(order, interface, ticks, data).block(kind::ENHANCED_PACKET)
}

fn times(resolution: Option<u8>, offset: Option<i64>, ticks: u64) -> i64 {
    let mut fields = interface(Little, LinkType::ETHERNET, 0).option(2, b"eth0");
    if let Some(resolution) = resolution {
        fields = fields.option(option::IF_TSRESOL, &[resolution]);
    }
    if let Some(offset) = offset {
        fields = fields.option(option::IF_TSOFFSET, &offset.to_le_bytes());
    }
    let interface = fields.option(option::END, b"").block(kind::INTERFACE);
    let bytes = [section(Little), interface, packet(Little, 0, ticks, b"x")].concat();
    read(&bytes).frames[0].nanos
}

#[test]
fn sections_have_their_own_order_and_interfaces() {
    let mut bytes = Vec::new();
    for order in [Little, Big, Little] {
        bytes.extend(section(order));
        bytes.extend(interface(order, LinkType::RAW, 0).block(kind::INTERFACE));
        bytes.extend(ethernet(order));
        bytes.extend(packet(order, 1, 2_000_000, b"on one"));
        bytes.extend(packet(order, 0, 3_000_000, b"on zero"));
    }
    bytes.extend(section(Big));
    bytes.extend(packet(Big, 0, 0, b"before the interfaces of its section"));
    let reading = read(&bytes);
    let links: Vec<_> = reading.frames.iter().map(|frame| frame.link).collect();
    assert_eq!(links, [LinkType::ETHERNET, LinkType::RAW].repeat(3));
    assert_eq!(reading.data(), [&b"on one"[..], b"on zero"].repeat(3));
    let nanos: Vec<_> = reading.frames.iter().map(|frame| frame.nanos).collect();
    assert_eq!(nanos, [2_000_000_000, 3_000_000_000].repeat(3));
    let offset = bytes.len() - packet(Big, 0, 0, b"before the interfaces of its section").len();
    assert_eq!(
        reading.error_text(),
        format!(
            "damaged at byte {offset}: a packet of interface 0, \
             which the section does not describe"
        )
    );
}

#[test]
fn resolutions_and_offsets() {
    let binary = |exponent: u8| Some(0x80 | exponent);
    for (resolution, offset, ticks, nanos) in [
        (None, None, 5, 5_000),
        (Some(6), None, 5, 5_000),
        (Some(0), None, 5, 5_000_000_000),
        (Some(3), None, 5, 5_000_000),
        (Some(9), None, 1 << 40, 1 << 40),
        (Some(12), None, 5_999, 5),
        (Some(28), None, u64::MAX, 1),
        (Some(127), None, 1_000, 0),
        (binary(0), None, 2, 2_000_000_000),
        (binary(10), None, 512, 500_000_000),
        (binary(32), None, 1 << 31, 500_000_000),
        (binary(127), None, u64::MAX, 0),
        (Some(6), Some(100), 5, 100_000_005_000),
        (Some(6), Some(-1), 5, -999_995_000),
        (Some(0), None, u64::MAX, i64::MAX),
        (binary(0), None, u64::MAX, i64::MAX),
        (Some(0), Some(i64::MAX), u64::MAX, i64::MAX),
        (Some(9), Some(i64::MIN), 0, i64::MIN),
    ] {
        assert_eq!(times(resolution, offset, ticks), nanos, "{resolution:?} {offset:?} {ticks}");
    }
}

#[test]
fn every_block_that_holds_a_packet() {
    for order in [Little, Big] {
        let obsolete = Fields::new(order).u16(1).u16(77).u32(0).u32(2).u32(3).u32(9).raw(b"old");
        let simple = |original: u32, data: &[u8]| {
            Fields::new(order).u32(original).raw(data).block(kind::SIMPLE_PACKET)
        };
        let with_options = enhanced(order, 1, 5, b"options").option(2, &[0; 4]);
        let bytes = [
            section(order),
            interface(order, LinkType::RAW, 4).block(kind::INTERFACE),
            ethernet(order),
            obsolete.block(kind::PACKET),
            simple(100, b"snap"),
            simple(2, b"ab"),
            with_options.option(option::END, b"").block(kind::ENHANCED_PACKET),
        ];
        let reading = read(&bytes.concat());
        assert_eq!(reading.error_text(), "");
        assert_eq!(reading.data(), [&b"old"[..], b"snap", b"ab", b"options"]);
        let rest: Vec<_> = reading
            .frames
            .iter()
            .map(|frame| (frame.number, frame.nanos, frame.link, frame.original_len))
            .collect();
        assert_eq!(
            rest,
            [
                (1, 2_000, LinkType::ETHERNET, 9),
                (2, 2_000, LinkType::RAW, 100),
                (3, 2_000, LinkType::RAW, 2),
                (4, 5_000, LinkType::ETHERNET, 7),
            ]
        );
        assert_eq!(reading.counters.frames_untimed, 2);
        assert_eq!(reading.counters.frames_cut, 2);
    }
}

#[test]
fn secrets_keep_their_place_and_lose_their_padding() {
    for order in [Little, Big] {
        let secrets = |kind: SecretsKind, bytes: &[u8]| {
            let fields = Fields::new(order).u32(kind.0).u32(bytes.len() as u32);
            fields.raw(bytes).block(kind::DECRYPTION_SECRETS)
        };
        let bytes = [
            section(order),
            secrets(SecretsKind::TLS_KEY_LOG, b"CLIENT_RANDOM 1 2\n"),
            ethernet(order),
            packet(order, 0, 1, b"frame"),
            packet(order, 0, 1, b"frame"),
            secrets(SecretsKind::WIREGUARD_KEY_LOG, b""),
        ];
        let reading = read(&bytes.concat());
        assert_eq!(reading.error_text(), "");
        assert_eq!(
            reading.secrets,
            [
                Secrets {
                    kind: SecretsKind::TLS_KEY_LOG,
                    before: 1,
                    bytes: b"CLIENT_RANDOM 1 2\n".to_vec(),
                },
                Secrets { kind: SecretsKind::WIREGUARD_KEY_LOG, before: 3, bytes: Vec::new() },
            ]
        );
        assert!(!format!("{:?}", reading.secrets).contains("CLIENT_RANDOM"));
    }
}

#[test]
fn unknown_blocks_are_skipped() {
    let unknown = Fields::new(Little).raw(&[0xff; 40]).block(0x8000_0bad);
    let names = Fields::new(Little).u32(0).block(4);
    let empty = Fields::new(Little).block(99);
    let bytes =
        [section(Little), unknown, ethernet(Little), names, empty, packet(Little, 0, 0, b"x")];
    let reading = read(&bytes.concat());
    assert_eq!(reading.error_text(), "");
    assert_eq!(reading.data(), [b"x"]);
    assert_eq!(reading.counters.blocks_skipped, 5);
}

#[test]
fn losses_are_counted_once_though_statistics_repeat_them() {
    let statistics = |interface: u32, lost: u64| {
        let fields = Fields::new(Big).u32(interface).u64(0).option(4, &[0; 8]);
        let fields = fields.option(option::ISB_IFDROP, &lost.to_be_bytes());
        fields.option(option::ISB_OSDROP, &1u64.to_be_bytes()).block(kind::INTERFACE_STATISTICS)
    };
    let bytes = [
        section(Big),
        ethernet(Big),
        ethernet(Big),
        statistics(0, 10),
        statistics(1, 3),
        statistics(0, 15),
        statistics(0, 12),
        statistics(9, 1_000),
    ];
    let reading = read(&bytes.concat());
    assert_eq!(reading.error_text(), "");
    assert_eq!(reading.counters.frames_lost, 16 + 4);
}

#[test]
fn hostile_blocks_are_damage_at_their_offset() {
    let good = [section(Little), ethernet(Little), packet(Little, 0, 0, b"good")].concat();
    let with_len = |len: u32| Fields::new(Little).u32(6).u32(len).raw(&[0; 64]).bytes;
    let mut unlike = packet(Little, 0, 0, b"ends otherwise");
    let last = unlike.len() - 4;
    unlike[last] ^= 4;
    let overrun = |at: usize, mut block: Vec<u8>| {
        block[at] = 0xff;
        block
    };
    let simple = Fields::new(Little).u32(60).raw(b"short").block(kind::SIMPLE_PACKET);
    let secrets = Fields::new(Little).u32(0).u32(9).raw(b"shorter").block(kind::DECRYPTION_SECRETS);
    let resolution = interface(Little, LinkType::RAW, 0).option(option::IF_TSRESOL, &[6, 6]);
    let offset = interface(Little, LinkType::RAW, 0).option(option::IF_TSOFFSET, &[1; 4]);
    let cut_option = interface(Little, LinkType::RAW, 0).u16(2).u16(40);
    let mut version = section(Little);
    version[12] = 9;
    for (block, text) in [
        (with_len(0), "impossible block length 0"),
        (with_len(8), "impossible block length 8"),
        (with_len(13), "impossible block length 13"),
        (
            with_len(0xffff_fffc),
            "a block claims 4294967292 bytes, more than the 16777216 that are allowed",
        ),
        (unlike, "a block begins with length 48 and ends with length 52"),
        (
            overrun(20, packet(Little, 0, 0, b"data")),
            "the fields of a block of type 0x00000006 do not fit into it",
        ),
        (
            Fields::new(Little).u32(0).block(kind::PACKET),
            "the fields of a block of type 0x00000002 do not fit into it",
        ),
        (simple, "the fields of a block of type 0x00000003 do not fit into it"),
        (secrets, "the fields of a block of type 0x0000000a do not fit into it"),
        (
            Fields::new(Little).u32(1).block(kind::INTERFACE),
            "the fields of a block of type 0x00000001 do not fit into it",
        ),
        (
            resolution.block(kind::INTERFACE),
            "the fields of a block of type 0x00000001 do not fit into it",
        ),
        (
            offset.block(kind::INTERFACE),
            "the fields of a block of type 0x00000001 do not fit into it",
        ),
        (
            cut_option.block(kind::INTERFACE),
            "the fields of a block of type 0x00000001 do not fit into it",
        ),
        (packet(Little, 1, 0, b""), "a packet of interface 1, which the section does not describe"),
        (version, "unknown version 9.0 of the capture format"),
        (overrun(9, section(Little)), "unknown byte-order magic 0x4dff2b1a in a section header"),
        (
            Fields::new(Little).u32(0x1a2b_3c4d).block(kind::SECTION_HEADER),
            "the fields of a block of type 0x0a0d0d0a do not fit into it",
        ),
    ] {
        let bytes = [&good[..], &block, &packet(Little, 0, 0, b"after")].concat();
        let reading = read(&bytes);
        assert_eq!(reading.data(), [b"good"], "{text}");
        assert_eq!(reading.error_text(), format!("damaged at byte {}: {text}", good.len()));
        assert_eq!(reading.counters.inputs_damaged, 1);
    }
}

#[test]
fn interfaces_are_bounded() {
    let mut bytes = section(Little);
    for _ in 0..=INTERFACES_MAX {
        bytes.extend(ethernet(Little));
    }
    let offset = bytes.len() - ethernet(Little).len();
    let text = format!("damaged at byte {offset}: more than 65536 interfaces in one section");
    assert_eq!(read(&bytes).error_text(), text);
}

#[test]
fn a_first_section_of_no_known_order_is_no_capture() {
    let mut bytes = section(Little);
    bytes[8] = 0;
    assert_eq!(read(&bytes).error_text(), "neither a pcap nor a pcapng capture");
}
