package prometheus

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Host is what the operating system tells of the process, as the library's own collector
// has it.
//
// # Why
//
// That collector opens and reads five files for each scrape, one of which has a line for
// each processor and each interrupt, to find when the machine started. It took a third of a
// scrape. What there is and what it is called is the library's still.
type Host struct {
	CPUSeconds                                   float64
	OpenFiles, MaxFiles                          float64
	ResidentBytes, VirtualBytes, MaxVirtualBytes float64
	ReceivedBytes, SentBytes                     float64 // of the network that the process is in
}

// values are the numbers by the library's names.
func (h *Host) values() map[string]float64 {
	return map[string]float64{
		"process_cpu_seconds_total":            h.CPUSeconds,
		"process_open_fds":                     h.OpenFiles,
		"process_max_fds":                      h.MaxFiles,
		"process_resident_memory_bytes":        h.ResidentBytes,
		"process_virtual_memory_bytes":         h.VirtualBytes,
		"process_virtual_memory_max_bytes":     h.MaxVirtualBytes,
		"process_network_receive_bytes_total":  h.ReceivedBytes,
		"process_network_transmit_bytes_total": h.SentBytes,
	}
}

// fillProcess returns what the operating system tells of the process. The library made it
// once for the sheet, when the process started included; where host does not know all, the
// library makes it anew.
func (s *sheet) fillProcess(host func() (Host, bool), library prometheus.Gatherer) ([]*dto.MetricFamily, error) {
	h, ok := host()
	if !ok {
		return library.Gather()
	}
	values := h.values()
	if s.process == nil {
		families, err := library.Gather()
		if err != nil || len(families) != len(values)+1 { // it may do better the next time
			return families, err
		}
		s.process = families
	}
	for _, f := range s.process {
		value, known := values[f.GetName()]
		switch m := f.Metric[0]; {
		case !known: // when it started
		case m.Counter != nil:
			*m.Counter.Value = value
		default:
			*m.Gauge.Value = value
		}
	}
	return s.process, nil
}
