//! Whose page it is, by the names on it: for messages that help, not for reading.

/// What names begin with, and who writes them.
const MARKS: &[(&str, &str)] = &[
    ("vllm:", "vLLM"),
    ("vllm_", "vLLM behind another exporter"),
    ("ray_vllm_", "vLLM under Ray"),
    ("tgi_", "Hugging Face TGI"),
    ("sglang:", "SGLang"),
    ("sglang_", "SGLang"),
    ("trtllm_", "trtllm-serve"),
    ("nv_trt_llm_", "Triton's TensorRT-LLM backend"),
    ("nv_inference_", "Triton"),
    ("llamacpp:", "llama.cpp"),
    ("dynamo_", "NVIDIA Dynamo"),
    ("DCGM_FI_", "dcgm-exporter"),
    ("nvidia_smi_", "nvidia_gpu_exporter"),
    ("limitador_up", "Limitador"),
    ("authorized_calls", "Limitador"),
    ("llm_d_epp_", "an llm-d endpoint picker"),
    ("inference_pool_", "a Gateway API endpoint picker"),
    ("inference_extension_", "a Gateway API endpoint picker"),
    ("llm_", "a page that was translated already"),
    ("node_", "node_exporter"),
    ("prometheus_", "Prometheus itself"),
];

/// Who writes a page with these family names; `None` where no mark is known.
#[must_use]
pub fn backend<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'static str> {
    let mark = |name: &str| {
        MARKS
            .iter()
            .find(|(mark, _)| name.starts_with(mark))
            .map(|(_, who)| *who)
    };
    names.filter_map(mark).next()
}

/// Whether a page with these family names is one of ours.
#[must_use]
pub fn is_our_own<'n>(mut names: impl Iterator<Item = &'n str>) -> bool {
    let ours = crate::runner::build_info_name();
    names.any(|name| name == ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_known_by_the_first_telling_name() {
        assert_eq!(
            backend(["python_info", "sglang:num_running_reqs"].into_iter()),
            Some("SGLang")
        );
        assert_eq!(backend(["python_info"].into_iter()), None);
        assert!(is_our_own(
            ["llm_requests_running", "tokenpath_build_info"].into_iter()
        ));
        assert!(!is_our_own(["llm_requests_running"].into_iter()));
    }
}
