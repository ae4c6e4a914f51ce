package convert

func (c *converter) metricTemplate(o *object) {}
func (c *converter) flaggerCanary(o *object)  {}
