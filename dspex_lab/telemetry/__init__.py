"""Events, spans, histograms and their store. Knows nothing of kernels, pipelines or panels."""
